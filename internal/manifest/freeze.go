package manifest

import (
	"iter"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/hasher"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// ConfigLabel is on the copies that FreezeConfigs makes. Its value is the name
// of the original, cut to what a label holds.
const ConfigLabel = "towline.dev/config"

// FreezeAnnotation with the value "off" keeps FreezeConfigs from a ConfigMap or
// Secret whose changes the pods follow by themselves, and from a workload.
const FreezeAnnotation = "towline.dev/freeze"

// FreezeConfigs gives the pods of objs immutable copies of the ConfigMaps and
// Secrets of objs that they read, under names that end with a hash of the
// contents: env-1f0c6d2a9b for env. So a changed configuration rolls the pods
// like a changed image does, the pods of the old revision keep the one that
// they started with while both run, and a rollback brings it back. The
// originals stay for whatever else reads them; old copies go when no kept
// revision names them (see ConfigsOf).
//
// Volumes, projected volumes, env and envFrom are followed, in all containers
// of Deployments, StatefulSets, DaemonSets, ReplicaSets, CronJobs and Jobs.
// imagePullSecrets and the Secrets of CSI drivers are not, for the kubelet
// reads those by their name. Left alone are bare Pods, which cannot change;
// what is immutable already; what Kustomize named by its contents; tokens of
// service accounts; and what FreezeAnnotation says.
//
// It returns objs with each copy after its original, and is idempotent. As
// with Kustomize's names, who may read the name can check a guess of all the
// contents against it, but learns nothing else. Run it after SetNamespace.
func FreezeConfigs(objs []Object) ([]Object, []Change) {
	there := map[ID]bool{}
	for _, o := range objs {
		there[IDOf(o.Unstructured)] = true
	}
	readers := map[ID][]Object{} // the workloads of each config, in their order
	for _, o := range Workloads(objs) {
		if isKind(o.Unstructured, "", "Pod") || o.GetAnnotations()[FreezeAnnotation] == "off" {
			continue
		}
		for _, id := range ConfigsOf(o.Unstructured) {
			readers[id] = append(readers[id], o)
		}
	}
	var all []Object
	var changes []Change
	for _, o := range objs {
		all = append(all, o)
		id := IDOf(o.Unstructured)
		if len(readers[id]) == 0 || !freezable(o.Unstructured) {
			continue
		}
		frozen := frozenCopy(o)
		if !there[IDOf(frozen.Unstructured)] {
			all = append(all, frozen)
		}
		for _, workload := range readers[id] {
			for ref := range configFields(workload.Unstructured) {
				if ref.kind == id.Kind && ref.name() == id.Name {
					ref.source[ref.field] = frozen.GetName()
				}
			}
		}
		changes = append(changes, change(o, Change{Kind: Completed,
			Reason: "an immutable copy for " + nameAll(readers[id]) + ": a change rolls the pods, a rollback brings it back"}, nil, frozen.GetName()))
	}
	return all, changes
}

// ConfigsOf are the ConfigMaps and Secrets that the pods of a workload read,
// each once, whether they are in the manifests or not.
func ConfigsOf(workload *unstructured.Unstructured) []ID {
	var ids []ID
	for ref := range configFields(workload) {
		ids = append(ids, ID{Kind: ref.kind, Namespace: workload.GetNamespace(), Name: ref.name()})
	}
	slices.SortFunc(ids, func(a, b ID) int { return compareStrings(a.Kind, b.Kind, a.Name, b.Name) })
	return slices.Compact(ids)
}

// IsFrozen reports whether u is a copy that FreezeConfigs made.
func IsFrozen(u *unstructured.Unstructured) bool {
	return isConfig(u) && u.GetLabels()[ConfigLabel] != ""
}

func isConfig(u *unstructured.Unstructured) bool {
	return isKind(u, "", "ConfigMap") || isKind(u, "", "Secret")
}

func freezable(u *unstructured.Unstructured) bool {
	immutable, _ := valueAt(u.Object, "immutable")
	switch {
	case !isConfig(u), immutable == true, u.GetAnnotations()[FreezeAnnotation] == "off":
		return false
	case stringAt(u.Object, "type") == "kubernetes.io/service-account-token":
		return false
	}
	return !namedByKustomize(u)
}

// namedByKustomize reports whether the name ends with the hash that Kustomize
// gives such contents.
func namedByKustomize(u *unstructured.Unstructured) bool {
	i := strings.LastIndexByte(u.GetName(), '-')
	if i < 0 {
		return false
	}
	text, err := u.MarshalJSON()
	if err != nil {
		return false
	}
	node, err := kyaml.Parse(string(text))
	if err != nil {
		return false
	}
	hash, err := (&hasher.Hasher{}).Hash(node)
	return err == nil && hash == u.GetName()[i+1:]
}

// frozenFields are the contents of a ConfigMap or Secret.
var frozenFields = []string{"type", "data", "binaryData", "stringData"}

// frozenCopy has the contents and nothing else: labels and annotations of the
// original may make others find it, or act on it.
func frozenCopy(o Object) Object {
	contents := map[string]any{}
	for _, field := range frozenFields {
		if v, ok := valueAt(o.Object, field); ok {
			contents[field] = v
		}
	}
	const longest = 253
	suffix := "-" + digest([]any{o.GetKind(), contents})[:10]
	metadata := map[string]any{
		"name":   cut(o.GetName(), longest-len(suffix)) + suffix,
		"labels": map[string]any{ConfigLabel: labelValue(o.GetName())},
	}
	if o.GetNamespace() != "" {
		metadata["namespace"] = o.GetNamespace()
	}
	contents["apiVersion"], contents["kind"], contents["metadata"] = o.GetAPIVersion(), o.GetKind(), metadata
	contents["immutable"] = true
	u := (&unstructured.Unstructured{Object: contents}).DeepCopy()
	return Object{Unstructured: u, Source: o.Source}
}

// configField is one place in a pod template that names a ConfigMap or Secret.
type configField struct {
	kind   string
	source map[string]any
	field  string
}

func (f configField) name() string { return stringAt(f.source, f.field) }

// configFields walks the places in a workload's template that name one.
func configFields(workload *unstructured.Unstructured) iter.Seq[configField] {
	return func(yield func(configField) bool) {
		template, ok := Template(workload)
		if !ok {
			return
		}
		for _, f := range append(volumeFields(template), containerFields(template)...) {
			if f.name() != "" && !yield(f) {
				return
			}
		}
	}
}

func volumeFields(template map[string]any) []configField {
	var fields []configField
	volumes, _ := sliceAt(template, "spec", "volumes")
	for v := range mapsOf(volumes) {
		configMap, _ := mapAt(v, "configMap")
		secret, _ := mapAt(v, "secret")
		fields = append(fields, configField{"ConfigMap", configMap, "name"}, configField{"Secret", secret, "secretName"})
		sources, _ := sliceAt(v, "projected", "sources")
		for s := range mapsOf(sources) {
			configMap, _ := mapAt(s, "configMap")
			secret, _ := mapAt(s, "secret")
			fields = append(fields, configField{"ConfigMap", configMap, "name"}, configField{"Secret", secret, "name"})
		}
	}
	return fields
}

func containerFields(template map[string]any) []configField {
	var fields []configField
	add := func(in map[string]any, configMapAt, secretAt string, path ...string) {
		configMap, _ := mapAt(in, append(path, configMapAt)...)
		secret, _ := mapAt(in, append(path, secretAt)...)
		fields = append(fields, configField{"ConfigMap", configMap, "name"}, configField{"Secret", secret, "name"})
	}
	for _, list := range []string{"initContainers", "containers"} {
		items, _ := sliceAt(template, "spec", list)
		for c := range mapsOf(items) {
			env, _ := sliceAt(c, "env")
			for e := range mapsOf(env) {
				add(e, "configMapKeyRef", "secretKeyRef", "valueFrom")
			}
			envFrom, _ := sliceAt(c, "envFrom")
			for e := range mapsOf(envFrom) {
				add(e, "configMapRef", "secretRef")
			}
		}
	}
	return fields
}
