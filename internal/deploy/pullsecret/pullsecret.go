// Package pullsecret gives the pods of an application what they need to pull
// their images from Towline's own registry, and no more: a Secret in their
// namespace with a password that is good for pulling from their repositories
// only. Its noun is that Secret. It stands in deploy's rendering, after images
// and namespaces are set and before the objects are sorted.
//
// It is pure: the registry that makes passwords and the cluster that knows
// ServiceAccounts are functions that it is given. The Secret is one object of the application like any
// other from then on: applied first, kept in the journal, pruned with the rest.
// Its name stays the same whatever is in it, so that a new password rolls no
// pod.
package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/manifest"
)

// Label marks the Secrets that this package makes.
const Label = "towline.dev/pull-secret"

const (
	secretType = "kubernetes.io/dockerconfigjson" //nolint:gosec // a type of Secrets, not one of them
	dataKey    = ".dockerconfigjson"
	userName   = "towline" // The registry looks at the password alone.
)

// Config says for what and from where.
type Config struct {
	App string
	// Host begins the names of the registry's images, such as localhost:7777.
	Host string
	// Password makes a password that is good for pulling from those
	// repositories of Host only. The same repositories must give the same
	// password, or each deployment would change the Secret. When it is nil
	// nobody is there who could make one: the Secrets of Running are kept.
	Password func(repositories ...string) (string, error)
	// Running are the objects of the revision that runs now. Its pods may be
	// started anew on another node until they are replaced, so their
	// repositories stay in what the password is good for.
	Running []manifest.Object
	// AccountSecrets returns the pull secrets of a ServiceAccount of the
	// cluster, none when it is not there. Kubernetes gives them only to pods
	// that name no pull secret, so they are named beside ours. It may be nil;
	// see the function AccountSecrets.
	AccountSecrets func(namespace, account string) ([]string, error)
}

// Name is what the Secret of an application is called.
func Name(app string) string { return "towline-pull-" + app }

// Is tells whether an object is a Secret that this package has made.
func Is(u *unstructured.Unstructured) bool {
	return u.GetKind() == "Secret" && u.GetAPIVersion() == "v1" && u.GetLabels()[Label] != ""
}

// Add names the application's pull secret in the pod templates that use an
// image of the host, in place, and returns the objects with a Secret for each
// namespace that has such templates, and what it has changed. Templates that
// name a pull secret of the manifests for that host are left alone. Calling it
// again renews the passwords and changes nothing else. A Secret of the
// manifests under the same name is a *manifest.Error, and nothing is changed.
func Add(objects []manifest.Object, config Config) ([]manifest.Object, []manifest.Change, error) {
	var kept map[string]manifest.Object
	if config.Password == nil {
		kept, config.Host = running(config.Running)
	}
	if config.Host == "" {
		return objects, nil, nil
	}
	if err := config.checkName(objects); err != nil {
		return nil, nil, err
	}
	additions, err := config.additions(objects)
	if err != nil {
		return nil, nil, err
	}
	if config.Password == nil {
		additions = slices.DeleteFunc(additions, func(a addition) bool { return kept[a.object.GetNamespace()].Unstructured == nil })
	}
	users := config.users(objects)
	for _, a := range additions {
		users = append(users, a.object)
	}
	secrets, err := config.secrets(users, kept)
	if err != nil {
		return nil, nil, err
	}
	var changes []manifest.Change
	for _, a := range additions {
		changes = append(changes, a.write())
	}
	objects, added := place(objects, secrets)
	return objects, append(changes, added...), nil
}

// Renew gives the pull secrets among the objects of an earlier revision
// passwords that are good today, for the key that made the old ones may be gone.
// Nothing else is changed, so that the revision comes back as it was.
func Renew(objects []manifest.Object, config Config) ([]manifest.Object, error) {
	if config.Password == nil || config.Host == "" {
		return objects, nil
	}
	secrets, err := config.secrets(config.users(objects), nil)
	if err != nil {
		return nil, err
	}
	objects, _ = place(objects, secrets)
	return objects, nil
}

// checkName refuses a Secret of the manifests that has our name.
func (c Config) checkName(objects []manifest.Object) error {
	for _, o := range manifest.OfKind(objects, "", "Secret") {
		if o.GetName() == Name(c.App) && !Is(o.Unstructured) {
			return &manifest.Error{Source: o.Source, Message: manifest.Ref(o.Unstructured) + " has the name of the pull secret that Towline makes",
				Hint: "give it another name, or set pullSecret: off in the deploy action"}
		}
	}
	return nil
}

// users are the workloads that pull with our Secret.
func (c Config) users(objects []manifest.Object) []manifest.Object {
	var users []manifest.Object
	for _, o := range manifest.Workloads(objects) {
		if slices.Contains(references(pullSecrets(o)), Name(c.App)) && len(c.repositories(o)) > 0 {
			users = append(users, o)
		}
	}
	return users
}

// repositories are those of the host that a workload's images are in.
func (c Config) repositories(workload manifest.Object) []string {
	var found []string
	for _, image := range manifest.Images([]manifest.Object{workload}) {
		if repository, ok := strings.CutPrefix(manifest.Repository(image), c.Host+"/"); ok {
			found = append(found, repository)
		}
	}
	return found
}

// running are the Secrets of this package among the objects of a revision, by
// their namespace, and the host that they are for.
func running(objects []manifest.Object) (kept map[string]manifest.Object, host string) {
	kept = map[string]manifest.Object{}
	for _, o := range objects {
		if found := hosts(o.Unstructured); Is(o.Unstructured) && len(found) > 0 {
			kept[o.GetNamespace()], host = o, found[0]
		}
	}
	return kept, host
}

// secrets has one for each namespace that has users: the one that is kept, or
// one that is good for the repositories that they and the pods that run there
// now pull from.
func (c Config) secrets(users []manifest.Object, kept map[string]manifest.Object) ([]manifest.Object, error) {
	scopes := map[string][]string{}
	for _, o := range users {
		scopes[o.GetNamespace()] = append(scopes[o.GetNamespace()], c.repositories(o)...)
	}
	for _, o := range c.users(c.Running) {
		if scope, ok := scopes[o.GetNamespace()]; ok {
			scopes[o.GetNamespace()] = append(scope, c.repositories(o)...)
		}
	}
	var secrets []manifest.Object
	for _, namespace := range slices.Sorted(maps.Keys(scopes)) {
		if secret, ok := kept[namespace]; ok {
			secrets = append(secrets, secret)
			continue
		}
		if c.Password == nil {
			continue
		}
		scope := slices.Clone(scopes[namespace])
		slices.Sort(scope)
		secret, err := c.secret(namespace, slices.Compact(scope))
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

func (c Config) secret(namespace string, scope []string) (manifest.Object, error) {
	password, err := c.Password(scope...)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("make the pull secret of %s: %w", c.App, err)
	}
	type login struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     string `json:"auth"`
	}
	auth := base64.StdEncoding.EncodeToString([]byte(userName + ":" + password))
	//nolint:gosec // The password is what a pull secret is for.
	text, err := json.Marshal(map[string]map[string]login{"auths": {c.Host: {Username: userName, Password: password, Auth: auth}}})
	if err != nil {
		return manifest.Object{}, fmt.Errorf("make the pull secret of %s: %w", c.App, err)
	}
	metadata := map[string]any{"name": Name(c.App), "labels": map[string]any{Label: "true"}}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return manifest.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": secretType, "metadata": metadata,
		"data": map[string]any{dataKey: base64.StdEncoding.EncodeToString(text)},
	}}}, nil
}

// place puts secrets where those of before stand, or at the end.
func place(objects, secrets []manifest.Object) ([]manifest.Object, []manifest.Change) {
	placed := slices.Clone(objects)
	var changes []manifest.Change
	for _, secret := range secrets {
		at := slices.IndexFunc(placed, func(o manifest.Object) bool {
			return manifest.IDOf(o.Unstructured) == manifest.IDOf(secret.Unstructured)
		})
		if at >= 0 {
			placed[at] = secret
			continue
		}
		placed = append(placed, secret)
		changes = append(changes, manifest.Change{Object: manifest.Ref(secret.Unstructured), Kind: manifest.Completed,
			Reason: "a password with which pods can pull these images, and do nothing else"})
	}
	return placed, changes
}
