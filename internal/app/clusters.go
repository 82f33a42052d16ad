package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// testWithin bounds the test of one cluster. A person waits for it.
const testWithin = 30 * time.Second

// clusters are those that deploy actions can name: stored ones first, then the
// contexts of the server's kubeconfig.
type clusters struct {
	store      *store.DB
	keys       *secret.Keyring
	kubeconfig string // path, "" for the usual places

	mu   sync.Mutex
	open map[string]opened // stored clusters in use, by name
}

var _ server.Clusters = (*clusters)(nil)

// opened is a connection, good for as long as what is stored is the same.
type opened struct {
	sealed  []byte
	cluster *kube.Cluster
}

// label is what a credential is sealed for.
func label(name string) string { return "cluster " + name }

// credential opens what is stored of a cluster.
func (c *clusters) credential(stored store.Cluster) (credential kube.Credential, err error) {
	text, err := c.keys.Unseal(label(stored.Name), stored.Sealed)
	if err != nil {
		return credential, err
	}
	if err := json.Unmarshal(text, &credential); err != nil {
		return credential, fmt.Errorf("read the credential of cluster %s: it was written by another Towline: add it again", stored.Name)
	}
	return credential, nil
}

// Connect returns the cluster that a deploy action names. An empty name is the
// kubeconfig's current context. A stored cluster that cannot be opened is never
// passed over for a context of the same name.
func (c *clusters) Connect(ctx context.Context, name string) (*kube.Cluster, error) {
	if name == "" {
		return kube.Connect(c.kubeconfig, "")
	}
	stored, err := c.store.Cluster(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return c.connectContext(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.open[name]; ok && bytes.Equal(known.sealed, stored.Sealed) {
		return known.cluster, nil
	}
	credential, err := c.credential(stored)
	if err != nil {
		return nil, err
	}
	cluster, err := kube.ConnectWith(name, credential)
	if err != nil {
		return nil, fmt.Errorf("stored %w", err)
	}
	c.open[name] = opened{stored.Sealed, cluster}
	return cluster, nil
}

func (c *clusters) connectContext(ctx context.Context, name string) (*kube.Cluster, error) {
	contexts, err := kube.Contexts(c.kubeconfig)
	if err != nil || slices.Contains(contexts, name) {
		return kube.Connect(c.kubeconfig, name)
	}
	all, err := c.store.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, stored := range all {
		names = append(names, stored.Name)
	}
	return nil, fmt.Errorf("no cluster %q: neither is one stored under this name (stored: %s), nor has the server's kubeconfig such a context (contexts: %s); store it with `towline cluster add %s`: %w",
		name, listed(names), listed(contexts), name, store.ErrNotFound)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Add checks a credential, completes it, and stores it sealed.
func (c *clusters) Add(ctx context.Context, name string, credential kube.Credential, replace bool) (client.Cluster, error) {
	if credential.Kind == kube.KubeconfigCredential {
		return client.Cluster{}, &kube.CredentialError{
			Field: "kind", Message: "a kubeconfig on the server is not stored: it may name programs to run",
			Hint: "start the server with `towline server --kubeconfig FILE`, and name the context",
		}
	}
	if err := credential.Check(); err != nil {
		return client.Cluster{}, err
	}
	if _, err := c.store.Cluster(ctx, name); err == nil && !replace {
		return client.Cluster{}, fmt.Errorf("cluster %s: %w", name, store.ErrExists)
	}
	credential, err := kube.DescribeEKS(ctx, credential)
	if err != nil {
		return client.Cluster{}, &kube.CredentialError{Field: "eksCluster", Message: err.Error()}
	}
	text, err := json.Marshal(credential) //nolint:gosec // it is sealed below
	if err != nil {
		return client.Cluster{}, fmt.Errorf("encode the credential of cluster %s: %w", name, err)
	}
	stored := store.Cluster{Name: name, Created: time.Now()}
	if stored.Sealed, err = c.keys.Seal(label(name), text); err != nil {
		return client.Cluster{}, err
	}
	if err := c.store.AddCluster(ctx, stored, replace); err != nil {
		return client.Cluster{}, err
	}
	if stored, err = c.store.Cluster(ctx, name); err != nil {
		return client.Cluster{}, err
	}
	return c.show(stored), nil
}

// show tells of a stored cluster what is no secret. One that cannot be opened
// is shown with the reason.
func (c *clusters) show(stored store.Cluster) client.Cluster {
	shown := client.Cluster{Name: stored.Name, Stored: true, Created: &stored.Created, Updated: &stored.Updated}
	credential, err := c.credential(stored)
	if err != nil {
		shown.Problem = err.Error()
		return shown
	}
	public, err := client.CredentialOf(credential.Public())
	if err != nil {
		shown.Problem = err.Error()
		return shown
	}
	shown.Credential, shown.User, shown.Warnings = &public, credential.Who(), credential.Warnings(time.Now())
	if expires := credential.Expires(); !expires.IsZero() {
		shown.Expires = &expires
	}
	return shown
}

// List shows the stored clusters, then the contexts that they do not hide.
func (c *clusters) List(ctx context.Context) ([]client.Cluster, error) {
	all, err := c.store.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	found := []client.Cluster{}
	for _, stored := range all {
		found = append(found, c.show(stored))
	}
	// A file that is not there is told when a deployment needs it.
	contexts, err := kube.Contexts(c.kubeconfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range contexts {
		if !slices.ContainsFunc(found, func(known client.Cluster) bool { return known.Name == name }) {
			found = append(found, client.Cluster{Name: name})
		}
	}
	return found, nil
}

// Remove forgets a stored cluster. What runs on it stays, and so does a
// deployment that is under way.
func (c *clusters) Remove(ctx context.Context, name string) error {
	if err := c.store.RemoveCluster(ctx, name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, name)
	return nil
}

// Test asks a cluster who one is there and which rights are missing.
func (c *clusters) Test(ctx context.Context, name, namespace string) (client.ClusterTest, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, testWithin, fmt.Errorf("the cluster took longer than %s", testWithin))
	defer cancel()
	cluster, err := c.Connect(ctx, name)
	if err != nil {
		return client.ClusterTest{}, err
	}
	test := client.ClusterTest{Name: name, Server: cluster.Server, Namespace: namespace, Missing: []string{}}
	if namespace == "" {
		test.Namespace = cluster.Namespace
	}
	if stored, err := c.store.Cluster(ctx, name); err == nil {
		test.Stored, test.Warnings = true, c.show(stored).Warnings
	}
	if err := testCluster(ctx, cluster, &test); err != nil {
		test.Problem = err.Error()
	}
	return test, nil
}

// testCluster goes from the network to the rights and stops where nothing
// further can be asked.
func testCluster(ctx context.Context, cluster *kube.Cluster, test *client.ClusterTest) error {
	var err error
	if test.Version, err = cluster.Ping(ctx); err != nil {
		return err
	}
	test.Reachable = true
	who, err := cluster.WhoAmI(ctx)
	// Kubernetes before 1.28 does not tell.
	if err != nil && !kube.IsNotFound(err) {
		return err
	}
	test.User, test.Groups = who.User, who.Groups
	wanted := kube.DeploymentRights()
	test.Wanted = len(wanted)
	missing, err := cluster.MissingRights(ctx, test.Namespace, wanted)
	if err != nil {
		return err
	}
	helpful, err := cluster.MissingRights(ctx, "", kube.HelpfulRights())
	if err != nil {
		return err
	}
	for _, right := range missing {
		test.Missing = append(test.Missing, right.String())
	}
	for _, right := range helpful {
		test.Helpful = append(test.Helpful, right.String())
	}
	return nil
}

// Rekey makes a new key and seals every cluster with it, all or none.
func (c *clusters) Rekey(ctx context.Context) (int, error) {
	if err := c.keys.Rotate(); err != nil {
		return 0, err
	}
	return c.store.ResealClusters(ctx, func(name string, sealed []byte) ([]byte, error) {
		text, err := c.keys.Unseal(label(name), sealed)
		if err != nil {
			return nil, err
		}
		return c.keys.Seal(label(name), text)
	})
}
