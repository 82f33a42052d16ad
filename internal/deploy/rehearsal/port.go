package rehearsal

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Port is where a pod takes requests.
type Port struct {
	Number int
	TLS    bool
}

// PortOf is the port of the template's pods that a Service sends HTTP to: of
// its port named http or numbered 80 first, else its first TCP port. It is not
// ok when there is none that the template knows.
func PortOf(service, template map[string]any) (port Port, ok bool) {
	var s corev1.Service
	var t corev1.PodTemplateSpec
	convert := runtime.DefaultUnstructuredConverter
	if convert.FromUnstructured(service, &s) != nil || convert.FromUnstructured(template, &t) != nil {
		return Port{}, false
	}
	ports := slices.DeleteFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Protocol != "" && p.Protocol != corev1.ProtocolTCP })
	slices.SortStableFunc(ports, func(a, b corev1.ServicePort) int { return rank(a) - rank(b) })
	for _, p := range ports {
		if n := number(p, t.Spec); n > 0 {
			return Port{Number: n, TLS: isTLS(p)}, true
		}
	}
	return Port{}, false
}

func rank(p corev1.ServicePort) int {
	switch {
	case p.Name == "http" || p.Name == "web":
		return 0
	case p.Port == 80 || p.Port == 8080:
		return 1
	case isTLS(p):
		return 2
	}
	return 3
}

func isTLS(p corev1.ServicePort) bool {
	return p.Name == "https" || p.Port == 443 || p.AppProtocol != nil && *p.AppProtocol == "https"
}

func number(p corev1.ServicePort, spec corev1.PodSpec) int {
	target := p.TargetPort
	if target == (intstr.IntOrString{}) {
		target = intstr.FromInt32(p.Port)
	}
	if n, err := strconv.Atoi(target.String()); err == nil {
		return n
	}
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for _, c := range list {
			for _, declared := range c.Ports {
				if declared.Name == target.StrVal && (declared.Protocol == "" || declared.Protocol == corev1.ProtocolTCP) {
					return int(declared.ContainerPort)
				}
			}
		}
	}
	return 0
}
