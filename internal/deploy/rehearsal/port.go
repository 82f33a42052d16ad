package rehearsal

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/towline/towline/internal/manifest"
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
	for _, p := range manifest.HTTPPorts(s.Spec.Ports) {
		if n := number(p, t.Spec); n > 0 {
			return Port{Number: n, TLS: manifest.ServesHTTPS(p)}, true
		}
	}
	return Port{}, false
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
