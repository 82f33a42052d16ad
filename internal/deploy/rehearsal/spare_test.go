package rehearsal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func templateOf(t *testing.T, text string) corev1.PodTemplateSpec {
	t.Helper()
	var template corev1.PodTemplateSpec
	if err := yaml.UnmarshalStrict([]byte(text), &template); err != nil {
		t.Fatal(err)
	}
	return template
}

const sleepy = `
metadata:
  labels: {app: web, team: shop, towline.dev/set: abc, pod-template-hash: xyz}
  annotations: {a: b}
spec:
  terminationGracePeriodSeconds: 45
  containers:
  - name: web
    image: example.com/web:1
    ports: [{name: http, containerPort: 8080, hostPort: 80}]
    lifecycle: {preStop: {sleep: {seconds: 10}}}
    readinessProbe: {httpGet: {port: http}}
  - name: logs
    image: example.com/logs:1
    lifecycle: {preStop: {exec: {command: [flush]}}}
`

func TestASparePodDiffersOnlyWhereItMust(t *testing.T) {
	t.Parallel()
	template := templateOf(t, sleepy)
	before := template.DeepCopy()
	s := newSpare(spareRequest{
		Template: template, App: "Shop/Web", Namespace: "shop", Port: 8080,
		Selectors: []labels.Selector{labels.SelectorFromSet(labels.Set{"app": "web"})},
	})
	if diff := cmp.Diff(before, &template); diff != "" {
		t.Errorf("the template was changed (-before +after)\n%s", diff)
	}
	want := before.DeepCopy()
	seconds, life := int64(35), int64(ownLife)
	want.Spec.TerminationGracePeriodSeconds, want.Spec.ActiveDeadlineSeconds = &seconds, &life
	want.Spec.Containers[0].Lifecycle.PreStop = nil
	want.Spec.Containers[0].Ports[0].HostPort = 0
	if diff := cmp.Diff(want.Spec, s.pod.Spec); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	labels := map[string]string{"team": "shop", "towline.dev/set": "abc", Label: "Shop-Web"}
	if diff := cmp.Diff(labels, s.pod.Labels); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
	if s.preStop != 10*time.Second || s.grace != 45*time.Second || s.own != 35*time.Second || s.container != "web" || s.proxied {
		t.Errorf("%+v", s)
	}
}

func TestOnlyTheLabelsThatSelectAreGivenUp(t *testing.T) {
	t.Parallel()
	given := map[string]string{"app": "web", "tier": "front", "towline.dev/set": "abc", "pod-template-hash": "x"}
	selector := func(text string) labels.Selector {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tt := range []struct {
		name      string
		selectors []string
		want      map[string]string
	}{
		{"none", nil, map[string]string{"app": "web", "tier": "front", "towline.dev/set": "abc"}},
		{"others'", []string{"app=db", "tier=back"}, map[string]string{"app": "web", "tier": "front", "towline.dev/set": "abc"}},
		{"one label is in all", []string{"app=web", "app=web,tier=front", "app=web,towline.dev/set=abc"}, map[string]string{"tier": "front", "towline.dev/set": "abc"}},
		{"two labels", []string{"app=web", "tier=front"}, map[string]string{"towline.dev/set": "abc"}},
		{"an expression", []string{"app in (web, api)"}, map[string]string{"tier": "front", "towline.dev/set": "abc"}},
		{"one that only asks for what is not there", []string{"!gone"}, map[string]string{"app": "web", "tier": "front", "towline.dev/set": "abc"}},
	} {
		var selectors []labels.Selector
		for _, text := range tt.selectors {
			selectors = append(selectors, selector(text))
		}
		if diff := cmp.Diff(tt.want, unselected(given, selectors)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestAProxyIsRehearsedWithAShorterDetachTime(t *testing.T) {
	t.Parallel()
	template := templateOf(t, `
spec:
  initContainers:
  - {name: towline-drain, image: a, restartPolicy: Always, args: [agent, drain, --detach=10s, 15191=8080], lifecycle: {preStop: {exec: {command: [x]}}}}
  containers:
  - {name: web, image: b, lifecycle: {preStop: {httpGet: {path: /drained, port: 15190}}}}
`)
	s := newSpare(spareRequest{Template: template, App: "web", Port: 15191})
	if !s.proxied || s.preStop != 10*time.Second || s.own != 30*time.Second || s.pod.Spec.InitContainers[0].Args[2] != "--detach=1s" {
		t.Errorf("%+v", s)
	}
	if s.pod.Spec.Containers[0].Lifecycle.PreStop == nil || s.pod.Spec.InitContainers[0].Lifecycle.PreStop == nil {
		t.Error("the hooks of the proxy are gone")
	}
}

func TestASpareNameIsValid(t *testing.T) {
	t.Parallel()
	for _, app := range []string{"web", "Web.", "shop/web_1", strings.Repeat("a", 62) + ".b"} {
		name := spareName(app)
		if len(name) > 63 || name != strings.ToLower(name) || strings.Contains(name, ".-") || strings.ContainsAny(name, "/_") {
			t.Errorf("%q -> %q", app, name)
		}
	}
}

func TestPortOf(t *testing.T) {
	t.Parallel()
	template := `
spec:
  containers:
  - {name: web, ports: [{name: http, containerPort: 8080}, {name: tls, containerPort: 8443}, {name: dns, containerPort: 53, protocol: UDP}]}
`
	for _, tt := range []struct {
		name, ports string
		want        Port
		ok          bool
	}{
		{"a number", "[{port: 80, targetPort: 9000}]", Port{Number: 9000}, true},
		{"the port itself", "[{port: 80}]", Port{Number: 80}, true},
		{"a name", "[{port: 9090, targetPort: 9091}, {port: 80, targetPort: http}]", Port{Number: 8080}, true},
		{"TLS", "[{name: https, port: 443, targetPort: tls}]", Port{Number: 8443, TLS: true}, true},
		{"a port for HTTP before one for HTTPS", "[{name: https, port: 443, targetPort: tls}, {name: web, port: 9090, targetPort: http}]", Port{Number: 8080}, true},
		{"the next port, where the best leads nowhere", "[{name: http, port: 80, targetPort: gone}, {name: a, port: 9443, targetPort: tls, appProtocol: https}]", Port{Number: 8443, TLS: true}, true},
		{"UDP", "[{port: 53, protocol: UDP, targetPort: dns}]", Port{}, false},
		{"a name that is none", "[{port: 80, targetPort: gone}]", Port{}, false},
	} {
		var service, pod map[string]any
		if err := yaml.Unmarshal([]byte("spec: {ports: "+tt.ports+"}"), &service); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(template), &pod); err != nil {
			t.Fatal(err)
		}
		service, pod = runtime.DeepCopyJSON(integers(service).(map[string]any)), runtime.DeepCopyJSON(integers(pod).(map[string]any))
		if got, ok := PortOf(service, pod); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

// integers turns numbers into those that objects of a cluster have.
func integers(v any) any {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	}
	return v
}
