package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

const twoContexts = `{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: "https://context.example"}}], users: [{name: u, user: {token: t}}],
contexts: [{name: production, context: {cluster: c, user: u}}, {name: staging, context: {cluster: c, user: u}}]}
`

// clustersOf are the clusters of a server that has never run, with the contexts
// production and staging, and their data directory.
func clustersOf(t *testing.T) (*clusters, string) {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	keys, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, []byte(twoContexts), 0o600); err != nil {
		t.Fatal(err)
	}
	return &clusters{store: db, keys: keys, kubeconfig: path, open: map[string]opened{}}, dir
}

func tokenFor(server string) kube.Credential {
	return kube.Credential{Kind: kube.TokenCredential, Server: server, Token: "the-token"}
}

func mustAdd(t *testing.T, c *clusters, name string, credential kube.Credential) {
	t.Helper()
	if _, err := c.Add(t.Context(), name, credential, true); err != nil {
		t.Fatal(err)
	}
}

func TestANameIsAStoredClusterBeforeItIsAContext(t *testing.T) {
	t.Parallel()
	c, _ := clustersOf(t)
	mustAdd(t, c, "production", tokenFor("https://stored.example"))
	for name, want := range map[string]string{"production": "https://stored.example", "staging": "https://context.example"} {
		if cluster, err := c.Connect(t.Context(), name); err != nil || cluster.Server != want {
			t.Errorf("%s is %+v, %v, want %s", name, cluster, err, want)
		}
	}
	_, err := c.Connect(t.Context(), "nowhere")
	if err == nil || !strings.Contains(err.Error(), "(stored: production)") || !strings.Contains(err.Error(), "(contexts: production, staging)") {
		t.Errorf("error %v", err)
	}
	if err := c.Remove(t.Context(), "production"); err != nil {
		t.Fatal(err)
	}
	if cluster, err := c.Connect(t.Context(), "production"); err != nil || cluster.Server != "https://context.example" {
		t.Errorf("a removed one is %+v, %v", cluster, err)
	}
}

func TestAConnectionIsKeptUntilTheCredentialIsAnother(t *testing.T) {
	t.Parallel()
	c, _ := clustersOf(t)
	connect := func() *kube.Cluster {
		t.Helper()
		cluster, err := c.Connect(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	mustAdd(t, c, "a", tokenFor("https://one.example"))
	first := connect()
	if connect() != first {
		t.Error("a second connection with the same credential")
	}
	mustAdd(t, c, "a", tokenFor("https://two.example"))
	if got := connect(); got.Server != "https://two.example" {
		t.Errorf("the credential is another, the server is still %s", got.Server)
	}
}

// TestWhatCannotBeOpenedIsNotPassedOver holds that a deployment never goes to a
// context of the same name instead.
func TestWhatCannotBeOpenedIsNotPassedOver(t *testing.T) {
	t.Parallel()
	t.Run("when the key is lost", func(t *testing.T) {
		t.Parallel()
		c, dir := clustersOf(t)
		mustAdd(t, c, "production", tokenFor("https://stored.example"))
		keys, err := secret.Open(filepath.Join(dir, "other-keys"))
		if err != nil {
			t.Fatal(err)
		}
		c.keys = keys
		_, err = c.Connect(t.Context(), "production")
		if _, lost := errors.AsType[*secret.LostKeyError](err); !lost {
			t.Errorf("error %v", err)
		}
		if _, err := c.Rekey(t.Context()); err == nil {
			t.Error("what cannot be opened was encrypted anew")
		}
		if found, err := c.List(t.Context()); err != nil || len(found) != 2 || !strings.Contains(found[0].Problem, "other-keys") {
			t.Errorf("list %+v, %v", found, err)
		}
	})
	t.Run("when one was put in the place of another", func(t *testing.T) {
		t.Parallel()
		c, _ := clustersOf(t)
		mustAdd(t, c, "evil", tokenFor("https://evil.example"))
		mustAdd(t, c, "production", tokenFor("https://stored.example"))
		evil, err := c.store.Cluster(t.Context(), "evil")
		if err != nil {
			t.Fatal(err)
		}
		evil.Name = "production"
		if err := c.store.AddCluster(t.Context(), evil, true); err != nil {
			t.Fatal(err)
		}
		if cluster, err := c.Connect(t.Context(), "production"); err == nil || !strings.Contains(err.Error(), "tampered") {
			t.Errorf("%+v, %v", cluster, err)
		}
	})
}

func TestRekeyedClustersOpenAsBefore(t *testing.T) {
	t.Parallel()
	c, _ := clustersOf(t)
	mustAdd(t, c, "a", tokenFor("https://one.example"))
	before, err := c.store.Cluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if count, err := c.Rekey(t.Context()); err != nil || count != 1 {
		t.Errorf("%d, %v", count, err)
	}
	after, err := c.store.Cluster(t.Context(), "a")
	if err != nil || string(after.Sealed) == string(before.Sealed) {
		t.Errorf("it is as before, %v", err)
	}
	if cluster, err := c.Connect(t.Context(), "a"); err != nil || cluster.Server != "https://one.example" {
		t.Errorf("%+v, %v", cluster, err)
	}
}

func TestAKubeconfigOfTheServerIsNotStored(t *testing.T) {
	t.Parallel()
	c, dir := clustersOf(t)
	_, err := c.Add(t.Context(), "x", kube.Credential{Kind: kube.KubeconfigCredential, Kubeconfig: filepath.Join(dir, "kubeconfig"), Context: "staging"}, false)
	if _, wrong := errors.AsType[*kube.CredentialError](err); !wrong || !strings.Contains(err.Error(), "programs to run") {
		t.Errorf("error %v", err)
	}
}
