package manifest

import "strings"

// servicePorts are the ports of a Service.
func servicePorts(service Object) []any {
	ports, _ := sliceAt(service.Object, "spec", "ports")
	return ports
}

// targetPort is where a port of a Service leads to: a number or the name of a
// container port. Left out, it is the port itself.
func targetPort(port map[string]any) any {
	if name := stringAt(port, "targetPort"); name != "" {
		return name
	}
	if n, ok := intAt(port, "targetPort"); ok && n != 0 {
		return n
	}
	if n, ok := intAt(port, "port"); ok {
		return n
	}
	return nil
}

// targetOf is the container of the workload that a port of a Service leads
// to, and the target as a probe names it. A number that no container declares
// leads to the only container there is, since declaring ports is optional.
func targetOf(o Object, port map[string]any) (c container, target any, ok bool) {
	target = targetPort(port)
	var serving []container
	for _, c := range containers(o.Unstructured) {
		if c.init && stringAt(c.value, "restartPolicy") != "Always" {
			continue
		}
		if !c.init {
			serving = append(serving, c)
		}
		ports, _ := sliceAt(c.value, "ports")
		for p := range mapsOf(ports) {
			if declares(p, target) {
				return c, target, true
			}
		}
	}
	_, number := target.(int64)
	if number && len(serving) == 1 {
		return serving[0], target, true
	}
	return container{}, nil, false
}

func declares(port map[string]any, target any) bool {
	switch t := target.(type) {
	case string:
		return stringAt(port, "name") == t
	case int64:
		n, ok := intAt(port, "containerPort")
		return ok && n == t
	}
	return false
}

// isHTTPS goes by what a port of a Service is called, as ingresses do.
func isHTTPS(port map[string]any) bool {
	return strings.EqualFold(stringAt(port, "appProtocol"), "https") || stringAt(port, "name") == "https" || stringAt(port, "targetPort") == "https"
}
