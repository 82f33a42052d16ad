package pullsecret

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/manifest"
)

const host = "localhost:7777"

func config() Config {
	return Config{App: "web", Host: host, Password: func(repositories ...string) (string, error) {
		return "for " + strings.Join(repositories, "+"), nil
	}}
}

// parse reads manifests, separated by ---.
func parse(t testing.TB, text string) []manifest.Object {
	t.Helper()
	var objects []manifest.Object
	for document := range strings.SplitSeq(text, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, manifest.Object{Unstructured: u})
	}
	return objects
}

// deployment runs images, in the namespace shop. More is added to its pods.
func deployment(name, more string, images ...string) string {
	text := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n"
	for _, image := range images {
		text += "      - {name: c, image: '" + image + "'}\n"
	}
	return text + more
}

// summary is, of each workload, its pull secrets, and of each of our Secrets
// the password.
func summary(t testing.TB, objects []manifest.Object) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, o := range manifest.Workloads(objects) {
		found[o.GetName()] = strings.Join(references(pullSecrets(o)), " ")
	}
	for _, o := range objects {
		if !Is(o.Unstructured) {
			continue
		}
		encoded, _, _ := unstructured.NestedString(o.Object, "data", dataKey)
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Auths map[string]struct{ Username, Password, Auth string } `json:"auths"`
		}
		if err := yaml.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		login := config.Auths[host]
		if auth := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password)); auth != login.Auth || len(config.Auths) != 1 {
			t.Errorf("%s holds %s", o.GetName(), text)
		}
		found[o.GetNamespace()+"/"+o.GetName()] = login.Password
	}
	return found
}

func TestAdd(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		manifests string
		change    func(*Config)
		want      map[string]string
	}{
		"pods that use the registry get a secret for their repositories": {
			manifests: deployment("web", "      initContainers:\n      - {name: i, image: 'localhost:7777/team/tools:2'}\n", host+"/web"+digest, "ghcr.io/acme/proxy:1") + "---\n" + deployment("cache", "", "redis:8"),
			want:      map[string]string{"web": "towline-pull-web", "cache": "", "shop/towline-pull-web": "for team/tools+web"},
		},
		"a host that begins the same is another one": {
			manifests: deployment("web", "", "localhost:77777/web", "localhost:7777x/web", "localhost/web"),
			want:      map[string]string{"web": ""},
		},
		"every namespace has its own": {
			manifests: deployment("web", "", host+"/web") + "---\n" + strings.Replace(deployment("admin", "", host+"/admin"), "shop", "office", 1),
			want:      map[string]string{"web": "towline-pull-web", "admin": "towline-pull-web", "shop/towline-pull-web": "for web", "office/towline-pull-web": "for admin"},
		},
		"a secret of the manifests for the same registry is left to do it": {
			manifests: deployment("web", "      imagePullSecrets: [{name: mine}]\n", host+"/web") +
				"---\n{apiVersion: v1, kind: Secret, metadata: {name: mine, namespace: shop}, stringData: {.dockerconfigjson: '{\"auths\":{\"http://localhost:7777/v2/\":{}}}'}}",
			want: map[string]string{"web": "mine"},
		},
		"one for another registry, or one that is not known, is kept beside ours": {
			manifests: deployment("web", "      imagePullSecrets: [{name: theirs}, {name: unknown}]\n", host+"/web") +
				"---\n{apiVersion: v1, kind: Secret, metadata: {name: theirs, namespace: shop}, data: {.dockerconfigjson: eyJhdXRocyI6eyJnaGNyLmlvIjp7fX19}}",
			want: map[string]string{"web": "theirs unknown towline-pull-web", "shop/towline-pull-web": "for web"},
		},
		"what the service account of the manifests brought is not lost": {
			manifests: deployment("web", "      serviceAccountName: runner\n", host+"/web") + "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner, namespace: shop}, imagePullSecrets: [{name: ghcr}]}",
			want:      map[string]string{"web": "ghcr towline-pull-web", "shop/towline-pull-web": "for web"},
		},
		"what the service account of the cluster brought is not lost": {
			manifests: deployment("web", "", host+"/web"),
			change: func(c *Config) {
				c.AccountSecrets = func(namespace, account string) ([]string, error) {
					return []string{namespace + "-" + account, "towline-pull-web"}, nil
				}
			},
			want: map[string]string{"web": "shop-default towline-pull-web", "shop/towline-pull-web": "for web"},
		},
		"every kind that runs pods": {
			manifests: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: night, namespace: shop}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: 'localhost:7777/night'}]}}}}}}\n---\n" +
				"{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop}, spec: {containers: [{image: 'localhost:7777/bare'}]}}",
			want: map[string]string{"night": "towline-pull-web", "bare": "towline-pull-web", "shop/towline-pull-web": "for bare+night"},
		},
		"without a registry of Towline's own nothing is done": {
			manifests: deployment("web", "", host+"/web"),
			change:    func(c *Config) { c.Password = nil },
			want:      map[string]string{"web": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := config()
			if c.change != nil {
				c.change(&config)
			}
			objects, changes, err := Add(parse(t, c.manifests), config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, summary(t, objects)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, more, err := Add(manifest.Copy(objects), config)
			if err != nil || len(more) > 0 {
				t.Errorf("a second time it changes %v: %v", more, err)
			}
			if diff := cmp.Diff(objects, again); diff != "" {
				t.Errorf("a second time it changes (-first +second):\n%s", diff)
			}
			for _, change := range changes {
				if strings.Contains(change.String(), "for web") {
					t.Errorf("the log would show the password: %s", change)
				}
			}
		})
	}
}

func TestAddKeepsWhatRunsPulling(t *testing.T) {
	t.Parallel()
	running, _, err := Add(parse(t, deployment("web", "", host+"/old")+"---\n"+strings.Replace(deployment("gone", "", host+"/gone"), "shop", "elsewhere", 1)), config())
	if err != nil {
		t.Fatal(err)
	}
	config := config()
	config.Running = running
	objects, _, err := Add(parse(t, deployment("web", "", host+"/new")), config)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"web": "towline-pull-web", "shop/towline-pull-web": "for new+old"}
	if diff := cmp.Diff(want, summary(t, objects)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	old, _, err := Add(parse(t, deployment("web", "", host+"/web")), config())
	if err != nil {
		t.Fatal(err)
	}
	config := config()
	config.Password = func(...string) (string, error) { return "of a new key", nil }
	t.Run("an earlier revision gets a new password and is else what it was", func(t *testing.T) {
		t.Parallel()
		renewed, err := Renew(manifest.Copy(old), config)
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(t, renewed)["shop/towline-pull-web"]; got != "of a new key" {
			t.Errorf("password %q", got)
		}
		if diff := cmp.Diff(old[:1], renewed[:1]); diff != "" || len(renewed) != len(old) {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("one from before there were pull secrets gets none", func(t *testing.T) {
		t.Parallel()
		before := parse(t, deployment("web", "", host+"/web"))
		renewed, err := Renew(manifest.Copy(before), config)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, renewed); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("without a registry the old password stays", func(t *testing.T) {
		t.Parallel()
		config := config
		config.Password = nil
		renewed, err := Renew(manifest.Copy(old), config)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(old, renewed); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	taken := "---\n{apiVersion: v1, kind: Secret, metadata: {name: towline-pull-web, namespace: shop}}"
	no := errors.New("no")
	for name, c := range map[string]struct {
		manifests string
		change    func(*Config)
		is        func(error) bool
	}{
		"a secret of the manifests under our name": {deployment("web", "", host+"/web") + taken, func(*Config) {}, func(err error) bool {
			_, ok := errors.AsType[*manifest.Error](err)
			return ok && strings.Contains(err.Error(), "pullSecret: off")
		}},
		"when there is no password": {deployment("web", "", host+"/web"), func(c *Config) { c.Password = func(...string) (string, error) { return "", no } },
			func(err error) bool { return errors.Is(err, no) }},
		"when the service account cannot be read": {deployment("web", "", host+"/web"), func(c *Config) { c.AccountSecrets = func(string, string) ([]string, error) { return nil, no } },
			func(err error) bool { return errors.Is(err, no) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := config()
			c.change(&config)
			objects := parse(t, c.manifests)
			before := manifest.Copy(objects)
			if _, _, err := Add(objects, config); !c.is(err) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(before, objects); diff != "" {
				t.Errorf("the objects changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestConfigsAreNotPullSecrets: what freezes configurations must
// leave the Secret its name and the pods their template.
func TestConfigsAreNotPullSecrets(t *testing.T) {
	t.Parallel()
	objects, _, err := Add(parse(t, deployment("web", "", host+"/web")), config())
	if err != nil {
		t.Fatal(err)
	}
	frozen, changes := manifest.FreezeConfigs(manifest.Copy(objects))
	if diff := cmp.Diff(objects, frozen); diff != "" || len(changes) > 0 {
		t.Errorf("changes %v (-want +got):\n%s", changes, diff)
	}
}

func TestWhoCannotMakePasswordsKeepsTheOneThatRuns(t *testing.T) {
	t.Parallel()
	server, _, err := Add(parse(t, deployment("web", "", host+"/team/web@sha256:1")), config())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		running []manifest.Object
		objects string
		want    map[string]string
	}{
		"the same application": {server, deployment("web", "", host+"/team/web@sha256:2"),
			map[string]string{"web": "towline-pull-web", "shop/towline-pull-web": "for team/web"}},
		"images of elsewhere":             {server, deployment("web", "", "docker.io/web:2"), map[string]string{"web": ""}},
		"nobody has made a secret before": {nil, deployment("web", "", host+"/team/web@sha256:2"), map[string]string{"web": ""}},
		"another namespace": {server, strings.Replace(deployment("web", "", host+"/team/web@sha256:2"), "shop", "other", 1),
			map[string]string{"web": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, _, err := Add(parse(t, c.objects), Config{App: "web", Running: c.running})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, summary(t, objects)); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}
