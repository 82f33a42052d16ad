package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QuotaWarnings says which of the live ResourceQuotas leave too little room for
// the pods that run beside the old ones during a deployment: maxSurge of each
// Deployment, or all of them once more when the new set stands beside the old
// one. Nothing else would say so beforehand: the API server takes the
// Deployment, and its pods are then refused one by one.
//
// Quotas with scopes are passed over, for they may be about other pods.
func QuotaWarnings(objs, quotas []Object, sideBySide bool) []Change {
	var changes []Change
	for _, q := range OfKind(quotas, "", "ResourceQuota") {
		_, scoped := valueAt(q.Object, "spec", "scopes")
		_, selected := valueAt(q.Object, "spec", "scopeSelector")
		if scoped || selected {
			continue
		}
		need := corev1.ResourceList{}
		for _, o := range OfKind(objs, "apps", "Deployment") {
			if o.GetNamespace() == q.GetNamespace() {
				addTo(need, podDemand(o), podsBeside(o, sideBySide))
			}
		}
		changes = append(changes, compareQuota(q, need)...)
	}
	return changes
}

func compareQuota(q Object, need corev1.ResourceList) []Change {
	var changes []Change
	hard, _ := mapAt(q.Object, "status", "hard")
	for _, name := range slices.Sorted(maps.Keys(hard)) {
		wanted, asked := need[quotaName(name)]
		limit, ok := quantityAt(hard, name)
		if !asked || !ok {
			continue
		}
		used, _ := mapAt(q.Object, "status", "used")
		if have, ok := quantityAt(used, name); ok {
			limit.Sub(have)
		}
		if wanted.Cmp(limit) > 0 {
			changes = append(changes, warn(q, "spec.hard."+name, stringAt(hard, name),
				"leaves %s, but the deployment needs %s more while old and new pods run: raise it, or the new pods do not start", limit.String(), wanted.String()))
		}
	}
	return changes
}

// quotaName is the name that podDemand has for what a quota limits: cpu and
// memory are older names of the requests.
func quotaName(name string) corev1.ResourceName {
	switch name {
	case "cpu", "memory":
		return corev1.ResourceName("requests." + name)
	case "count/pods":
		return corev1.ResourcePods
	}
	return corev1.ResourceName(name)
}

// podsBeside is how many pods run beside those of the old revision.
func podsBeside(o Object, sideBySide bool) int64 {
	replicas, written := intAt(o.Object, "spec", "replicas")
	if !written {
		replicas = 1
	}
	if sideBySide {
		return replicas
	}
	surge, written := valueAt(o.Object, "spec", "strategy", "rollingUpdate", "maxSurge")
	if !written {
		surge = "25%"
	}
	if n, ok := asInt(surge); ok {
		return n
	}
	percent, err := strconv.ParseInt(strings.TrimSuffix(fmt.Sprint(surge), "%"), 10, 64)
	if err != nil {
		return 0
	}
	return (replicas*percent + 99) / 100
}

// podDemand is what a quota counts for one pod: the sum of its containers and
// sidecars, or more when an init container alone asks for more.
func podDemand(o Object) corev1.ResourceList {
	sum, initial := corev1.ResourceList{}, corev1.ResourceList{}
	for _, c := range containers(o.Unstructured) {
		limits, _ := mapAt(c.value, "resources", "limits")
		requests, _ := mapAt(c.value, "resources", "requests")
		defaulted := maps.Clone(limits) // a limit is the request as well where none is written
		if defaulted == nil {
			defaulted = map[string]any{}
		}
		maps.Copy(defaulted, requests)
		for kind, asked := range map[string]map[string]any{"requests": defaulted, "limits": limits} {
			for name := range asked {
				quantity, ok := quantityAt(asked, name)
				if !ok {
					continue
				}
				key := corev1.ResourceName(kind + "." + name)
				if c.init && stringAt(c.value, "restartPolicy") != "Always" {
					raise(initial, key, quantity)
					continue
				}
				total := sum[key]
				total.Add(quantity)
				sum[key] = total
			}
		}
	}
	for key, quantity := range initial {
		raise(sum, key, quantity)
	}
	sum[corev1.ResourcePods] = resource.MustParse("1")
	return sum
}

func raise(list corev1.ResourceList, key corev1.ResourceName, quantity resource.Quantity) {
	if have, ok := list[key]; !ok || have.Cmp(quantity) < 0 {
		list[key] = quantity
	}
}

func addTo(total, one corev1.ResourceList, times int64) {
	for key, quantity := range one {
		quantity.Mul(times)
		sum := total[key]
		sum.Add(quantity)
		total[key] = sum
	}
}

// quantityAt reads a quantity that may be written as a number.
func quantityAt(m map[string]any, name string) (resource.Quantity, bool) {
	value, ok := m[name]
	if !ok {
		return resource.Quantity{}, false
	}
	quantity, err := resource.ParseQuantity(fmt.Sprint(value))
	return quantity, err == nil
}
