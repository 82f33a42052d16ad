package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestHTTPPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, ports, want string }{
		{"a port named http comes before a number", "[{name: a, port: 80}, {name: http, port: 9000}]", "http a"},
		{"a port named web is as good as one named http", "[{name: web, port: 1}, {name: http, port: 2}]", "web http"},
		{"80 and 8080 come before HTTPS", "[{name: https, port: 443}, {name: a, port: 8080}, {name: b, port: 80}]", "a b https"},
		{"HTTPS by its name comes before any other port", "[{name: metrics, port: 9090}, {name: https, port: 8443}]", "https metrics"},
		{"HTTPS by its number comes before any other port", "[{name: metrics, port: 9090}, {name: a, port: 443}]", "a metrics"},
		{"HTTPS by its protocol comes before any other port", "[{name: metrics, port: 9090}, {name: a, port: 9443, appProtocol: https}]", "a metrics"},
		{"equally likely ones keep their order", "[{name: b, port: 2}, {name: a, port: 1}]", "b a"},
		{"ports that are not TCP are left out", "[{name: http, port: 80, protocol: UDP}, {name: a, port: 1, protocol: TCP}, {name: b, port: 2, protocol: SCTP}]", "a"},
		{"none", "[]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ports []corev1.ServicePort
			if err := yaml.Unmarshal([]byte(c.ports), &ports); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range HTTPPorts(ports) {
				names = append(names, p.Name)
			}
			if diff := cmp.Diff(c.want, strings.Join(names, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a port of a Service says of those who ask it, and of the container that
// it leads to.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, port        string
		served, container bool
	}{
		{"a port of no meaning", "{name: http, port: 80, targetPort: 8080}", false, false},
		{"its name", "{name: https, port: 8443}", true, true},
		{"another name", "{name: https-metrics, port: 8443}", false, false},
		{"its protocol", "{port: 8443, appProtocol: https}", true, true},
		{"its protocol in capitals, as GKE has it", "{port: 8443, appProtocol: HTTPS}", true, true},
		{"another protocol", "{name: a, port: 8443, appProtocol: kubernetes.io/h2c}", false, false},
		{"its number, though TLS may end before the pods", "{port: 443, targetPort: 8080}", true, false},
		{"the name of the container's port", "{port: 8443, targetPort: https}", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var port corev1.ServicePort
			var written map[string]any
			for _, into := range []any{&port, &written} {
				if err := yaml.Unmarshal([]byte(c.port), into); err != nil {
					t.Fatal(err)
				}
			}
			if got := ServesHTTPS(port); got != c.served {
				t.Errorf("served %t", got)
			}
			if got := isHTTPS(written); got != c.container {
				t.Errorf("container %t", got)
			}
		})
	}
}
