package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/manifest"
)

// addition is a pod template that gets names of pull secrets.
type addition struct {
	object manifest.Object
	spec   map[string]any // of the pod
	before []any          // imagePullSecrets as they are
	names  []string       // to be added, ours last
}

// additions are the templates that use the host and name nothing for it yet.
func (c Config) additions(objects []manifest.Object) ([]addition, error) {
	var found []addition
	for _, o := range manifest.Workloads(objects) {
		template, _ := manifest.Template(o.Unstructured)
		spec, ok := template["spec"].(map[string]any)
		if !ok || len(c.repositories(o)) == 0 {
			continue
		}
		before, ok := spec["imagePullSecrets"].([]any)
		if spec["imagePullSecrets"] != nil && !ok {
			continue // The API server says better what is wrong with it.
		}
		a := addition{object: o, spec: spec, before: before}
		if c.named(objects, a) {
			continue
		}
		if len(before) == 0 {
			inherited, err := c.inherited(objects, a)
			if err != nil {
				return nil, err
			}
			a.names = inherited
		}
		a.names = append(a.names, Name(c.App))
		found = append(found, a)
	}
	return found, nil
}

// named tells whether a template names our Secret already, or one of the
// manifests that is for our host. Of a Secret that is only in the cluster that
// is not known; to name ours beside it does no harm, for all are tried.
func (c Config) named(objects []manifest.Object, a addition) bool {
	for _, name := range references(a.before) {
		if name == Name(c.App) {
			return true
		}
		secret, ok := manifest.Find(objects, manifest.ID{Kind: "Secret", Namespace: a.object.GetNamespace(), Name: name})
		if ok && slices.Contains(hosts(secret.Unstructured), c.Host) {
			return true
		}
	}
	return false
}

// inherited are the pull secrets that the pods have of their ServiceAccount as
// long as they name none.
func (c Config) inherited(objects []manifest.Object, a addition) ([]string, error) {
	account := "default"
	for _, field := range []string{"serviceAccount", "serviceAccountName"} { // The second one wins.
		if name, ok := a.spec[field].(string); ok && name != "" {
			account = name
		}
	}
	namespace := a.object.GetNamespace()
	if o, ok := manifest.Find(objects, manifest.ID{Kind: "ServiceAccount", Namespace: namespace, Name: account}); ok {
		list, _ := o.Object["imagePullSecrets"].([]any)
		return references(list), nil
	}
	if c.AccountSecrets == nil {
		return nil, nil
	}
	names, err := c.AccountSecrets(namespace, account)
	if err != nil {
		return nil, fmt.Errorf("look for the pull secrets of service account %s: %w", account, err)
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == Name(c.App) }), nil
}

// write adds the names.
func (a addition) write() manifest.Change {
	list := slices.Clone(a.before)
	for _, name := range a.names {
		list = append(list, map[string]any{"name": name})
	}
	a.spec["imagePullSecrets"] = list
	change := manifest.Change{
		Object: manifest.Ref(a.object.Unstructured), Source: a.object.Source, Kind: manifest.Completed,
		Field: field(a.object.Unstructured), New: strings.Join(references(list), ", "), Old: strings.Join(references(a.before), ", "),
		Reason: "Towline's registry asks for a password",
	}
	if len(a.before) == 0 && len(a.names) > 1 {
		change.Reason += "; the others are those of the pods' service account"
	}
	return change
}

// field is where the names stand in an object.
func field(u *unstructured.Unstructured) string {
	switch u.GetKind() {
	case "Pod":
		return "spec.imagePullSecrets"
	case "CronJob":
		return "spec.jobTemplate.spec.template.spec.imagePullSecrets"
	}
	return "spec.template.spec.imagePullSecrets"
}

// pullSecrets are the references of a workload's pod template to pull secrets.
func pullSecrets(workload manifest.Object) []any {
	template, _ := manifest.Template(workload.Unstructured)
	spec, _ := template["spec"].(map[string]any)
	list, _ := spec["imagePullSecrets"].([]any)
	return list
}

// references are the names in a list of {name: NAME}.
func references(list []any) []string {
	var names []string
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			if name, ok := m["name"].(string); ok && name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// hosts are the registries that a pull secret is for, by its own words.
func hosts(secret *unstructured.Unstructured) []string {
	text, _, _ := unstructured.NestedString(secret.Object, "stringData", dataKey)
	if text == "" {
		encoded, _, _ := unstructured.NestedString(secret.Object, "data", dataKey)
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil
		}
		text = string(decoded)
	}
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if json.Unmarshal([]byte(text), &config) != nil {
		return nil
	}
	var found []string
	for key := range config.Auths {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
		host, _, _ := strings.Cut(key, "/")
		found = append(found, host)
	}
	return found
}
