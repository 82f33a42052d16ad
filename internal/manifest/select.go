package manifest

// Selected are for each of the Services the workloads that it selects (see
// Selects), by their index and in their order. Asking Selects about every pair
// takes seconds when there are a thousand of each.
func Selected(services, workloads []Object) [][]int {
	having := map[oneLabel][]int{}
	pods := make([]map[string]string, len(workloads))
	for i, w := range workloads {
		pods[i] = TemplateLabels(w.Unstructured)
		for name, value := range pods[i] {
			at := oneLabel{w.GetNamespace(), name, value}
			having[at] = append(having[at], i)
		}
	}
	selected := make([][]int, len(services))
	for i, s := range services {
		selector := endpointSelector(s.Unstructured)
		var fewest []int
		first := true
		for name, value := range selector {
			if have := having[oneLabel{s.GetNamespace(), name, value}]; first || len(have) < len(fewest) {
				fewest, first = have, false
			}
		}
		for _, w := range fewest {
			if holds(pods[w], selector) {
				selected[i] = append(selected[i], w)
			}
		}
	}
	return selected
}

// SelectedBy are the workloads that one of the Services selects, in their order.
func SelectedBy(services, workloads []Object) []Object {
	some := make([]bool, len(workloads))
	for _, found := range Selected(services, workloads) {
		for _, w := range found {
			some[w] = true
		}
	}
	var found []Object
	for i, w := range workloads {
		if some[i] {
			found = append(found, w)
		}
	}
	return found
}

// Selecting are the Services that select one of the workloads, in their order.
func Selecting(services, workloads []Object) []Object {
	var found []Object
	for i, selected := range Selected(services, workloads) {
		if len(selected) > 0 {
			found = append(found, services[i])
		}
	}
	return found
}
