package manifest

// budgetWarnings are about budgets that do the opposite of what they are for.
func budgetWarnings(objs []Object, near *neighbours) []Change {
	var changes []Change
	for _, o := range OfKind(objs, "apps", "Deployment") {
		budgets := near.disruption(o)
		if len(budgets) > 1 {
			changes = append(changes, warn(o, "", nil, "%s select its pods: with more than one budget no pod can be evicted, and nodes cannot be drained", nameAll(budgets)))
		}
		for _, b := range budgets {
			if field, value, never := neverEvicts(near, b, o); never {
				changes = append(changes, warn(b, field, value, "lets no pod of %s be evicted, so that its node cannot be drained: let one be unavailable", Ref(o.Unstructured)))
			}
		}
	}
	return changes
}

// neverEvicts reports whether a budget leaves no pod of a Deployment to evict.
func neverEvicts(near *neighbours, b, o Object) (field string, value any, never bool) {
	if v, ok := valueAt(b.Object, "spec", "maxUnavailable"); ok && isNone(v) {
		return "spec.maxUnavailable", v, true
	}
	v, ok := valueAt(b.Object, "spec", "minAvailable")
	if !ok {
		return "", nil, false
	}
	if v == "100%" {
		return "spec.minAvailable", v, true
	}
	least, number := asInt(v)
	replicas, written := intAt(o.Object, "spec", "replicas")
	if !written {
		replicas = 1
	}
	return "spec.minAvailable", v, number && !near.scaled(o) && replicas > 0 && least >= replicas
}
