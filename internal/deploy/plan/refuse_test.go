package plan

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/refusal"
)

func TestWhatSetsCannotDoIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	elsewhere := []string{
		strings.ReplaceAll(deployment("web", 3, "app: web"), "shop", "stock"), strings.ReplaceAll(service("web", "app: web"), "shop", "stock"),
	}
	for _, strategy := range []string{BlueGreen, Immutable, Rolling} {
		t.Run(strategy+" in a second namespace", func(t *testing.T) {
			t.Parallel()
			s := situation(t, 2, append([]string{deployment("web", 3, "app: web"), service("web", "app: web")}, elsewhere...), nil, nil)
			s.Strategy = strategy
			_, err := Plan(s)
			wantRefusal(t, err, strategy != Rolling, "k8s/web.yaml:1: Deployment", "is in namespace stock", "--namespace stock")
			s.Back = true
			_, err = Plan(s)
			wantRefusal(t, err, false)
		})
	}
	for name, c := range map[string]struct {
		deployment, service string
		preview             bool
		want                []string
	}{
		"a Service with the longest name that has a preview":   {"web", strings.Repeat("s", 55), true, nil},
		"a Service whose preview has too long a name":          {"web", strings.Repeat("s", 56), true, []string{"k8s/web.yaml:1: Service sss", "blue-green needs a second Service", "64 characters", "at least 1 shorter"}},
		"the same without a preview":                           {"web", strings.Repeat("s", 63), false, nil},
		"a Deployment whose name does not fit into its label":  {strings.Repeat("d", 70), "web", false, []string{"towline.dev/workload", "at least 7 shorter"}},
		"a Deployment with the longest name that fits into it": {strings.Repeat("d", 63), "web", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation(t, 2, []string{deployment(c.deployment, 1, "app: web"), service(c.service, "app: web")}, nil, nil)
			_, err := SideBySide(s.Desired, c.preview)
			wantRefusal(t, err, c.want != nil, c.want...)
		})
	}
	t.Run("a Service whose backend for a route has too long a name", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("s", 60)
		route := `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, namespace: shop}, spec: {rules: [{backendRefs: [{name: ` + long + `, port: 80}]}]}}`
		s := situation(t, 2, []string{deployment("web", 1, "app: web"), service(long, "app: web"), route}, nil, nil)
		objects, err := SideBySide(s.Desired, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ByRoute(objects, "web")
		wantRefusal(t, err, true, "the route needs a second Service", "69 characters", "at least 6 shorter")
	})
}

func wantRefusal(t *testing.T, err error, want bool, texts ...string) {
	t.Helper()
	if !want {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if !refusal.Is(err) {
		t.Fatalf("error %v, want a refusal", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}
