package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// HashAnnotation is the annotation on a pod template that holds the hash of
// the ConfigMaps and Secrets that the template names.
const HashAnnotation = "towline.dev/config-hash"

// HashConfigs writes the hash of the ConfigMaps and Secrets of objs that a
// workload's pods read into HashAnnotation of its pod template, so that a
// changed configuration rolls the pods. Jobs and bare Pods are left alone:
// their templates cannot change.
//
// As with the names that Kustomize generates, who may read the workload can
// check a guess of all the contents against the hash, but learns nothing else.
// Run it after SetNamespace, for names are looked up in the workload's
// namespace.
func HashConfigs(objs []Object) []Change {
	var changes []Change
	for _, o := range Workloads(objs) {
		template, ok := Template(o.Unstructured)
		if !ok || isKind(o.Unstructured, "batch", "Job") || isKind(o.Unstructured, "", "Pod") {
			continue
		}
		var configs []Object
		for _, ref := range configRefs(template) {
			ref.Namespace = o.GetNamespace()
			if config, ok := Find(objs, ref); ok {
				configs = append(configs, config)
			}
		}
		if len(configs) == 0 {
			continue
		}
		hash := hashOf(configs)
		fields, _ := templatePath(o.Unstructured)
		fields = append(slices.Clone(fields), "metadata", "annotations", HashAnnotation)
		if stringAt(o.Object, fields...) != hash {
			changes = append(changes, complete(o, "a change of "+nameAll(configs)+" rolls the pods", hash, fields...)...)
		}
	}
	return changes
}

// configRefs are the ConfigMaps and Secrets that a pod names, without
// namespace, each once: as volumes, projected volumes, env and envFrom.
func configRefs(template map[string]any) []ID {
	var refs []ID
	add := func(kind string, source map[string]any, field string) {
		if name := stringAt(source, field); name != "" {
			refs = append(refs, ID{Kind: kind, Name: name})
		}
	}
	volume := func(v map[string]any) {
		configMap, _ := mapAt(v, "configMap")
		add("ConfigMap", configMap, "name")
		secret, _ := mapAt(v, "secret")
		add("Secret", secret, "secretName") // of a volume
		add("Secret", secret, "name")       // of a projection
	}
	volumes, _ := sliceAt(template, "spec", "volumes")
	for v := range mapsOf(volumes) {
		volume(v)
		sources, _ := sliceAt(v, "projected", "sources")
		for s := range mapsOf(sources) {
			volume(s)
		}
	}
	for _, list := range []string{"initContainers", "containers"} {
		items, _ := sliceAt(template, "spec", list)
		for c := range mapsOf(items) {
			containerRefs(c, add)
		}
	}
	slices.SortFunc(refs, func(a, b ID) int { return compareStrings(a.Kind, b.Kind, a.Name, b.Name) })
	return slices.Compact(refs)
}

func containerRefs(c map[string]any, add func(kind string, source map[string]any, field string)) {
	env, _ := sliceAt(c, "env")
	for e := range mapsOf(env) {
		configMap, _ := mapAt(e, "valueFrom", "configMapKeyRef")
		add("ConfigMap", configMap, "name")
		secret, _ := mapAt(e, "valueFrom", "secretKeyRef")
		add("Secret", secret, "name")
	}
	envFrom, _ := sliceAt(c, "envFrom")
	for e := range mapsOf(envFrom) {
		configMap, _ := mapAt(e, "configMapRef")
		add("ConfigMap", configMap, "name")
		secret, _ := mapAt(e, "secretRef")
		add("Secret", secret, "name")
	}
}

// hashOf is 16 hex digits: enough to tell configurations of one workload
// apart, short enough to read.
func hashOf(configs []Object) string {
	h := sha256.New()
	for _, c := range configs {
		contents := []any{c.GetKind(), c.GetName(), c.Object["data"], c.Object["binaryData"], c.Object["stringData"]}
		text, err := json.Marshal(contents)
		if err != nil {
			text = fmt.Append(nil, contents...)
		}
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
