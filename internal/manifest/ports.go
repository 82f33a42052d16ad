package manifest

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// HTTPPorts are the TCP ports of a Service, the one that most likely speaks
// HTTP first: by its name, then by its number, then one for HTTPS, then any.
// Equally likely ones keep their order.
func HTTPPorts(ports []corev1.ServicePort) []corev1.ServicePort {
	tcp := slices.DeleteFunc(slices.Clone(ports), func(p corev1.ServicePort) bool {
		return p.Protocol != "" && p.Protocol != corev1.ProtocolTCP
	})
	rank := func(p corev1.ServicePort) int {
		switch {
		case p.Name == "http" || p.Name == "web":
			return 0
		case p.Port == 80 || p.Port == 8080:
			return 1
		case ServesHTTPS(p):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(tcp, func(a, b corev1.ServicePort) int { return cmp.Compare(rank(a), rank(b)) })
	return tcp
}

// ServesHTTPS tells whether whoever asks a port of a Service is to speak HTTPS.
func ServesHTTPS(p corev1.ServicePort) bool {
	var protocol string
	if p.AppProtocol != nil {
		protocol = *p.AppProtocol
	}
	return saysHTTPS(p.Name, protocol) || p.Port == 443
}

// saysHTTPS goes by what a port of a Service is called, as ingresses do.
func saysHTTPS(name, appProtocol string) bool {
	return name == "https" || strings.EqualFold(appProtocol, "https")
}

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

// isHTTPS tells whether the container that a port of a Service leads to
// speaks HTTPS itself. The number 443 does not say so, unlike for ServesHTTPS: a
// load balancer often ends TLS before the pods.
func isHTTPS(port map[string]any) bool {
	return saysHTTPS(stringAt(port, "name"), stringAt(port, "appProtocol")) || stringAt(port, "targetPort") == "https"
}
