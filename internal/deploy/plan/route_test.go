package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// httpRoute is a route whose rules have the backends.
func httpRoute(rules ...string) string {
	for i, backends := range rules {
		rules[i] = "{backendRefs: [" + backends + "]}"
	}
	return "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, namespace: shop}, spec: {parentRefs: [{name: edge}], rules: [" + strings.Join(rules, ", ") + "]}}"
}

// backendService is the Service that stands for a set of Service web, as it is
// in the cluster.
func backendService(mark string) string {
	return strings.Replace(mine(service("web-"+mark, "app: web, towline.dev/set: "+mark)), "labels: {", "labels: {towline.dev/backend: web, ", 1)
}

// routing is a cut-over by the weights of a route.
type routing struct {
	knob    string   // name of the route, empty for none
	desired []string // beside the route
	route   string   // desired
	live    []string // beside what moves
	before  string   // the live route, empty for none
	active  string   // the live selector of Service web, empty while it is not there
	sets    []Set
	back    bool
	still   bool // the desired set is there and whole
	knobs   Knobs
	probed  bool
}

func (r routing) plan(t *testing.T) []Step {
	t.Helper()
	desired := append([]string{r.route}, r.desired...)
	mark := markOf(t, r.desired)
	named := func(text string) string { return strings.ReplaceAll(text, "NEW", mark) }
	live := slices.Clone(r.live)
	if r.before != "" {
		live = append(live, named(r.before))
	}
	if r.active != "" {
		live = append(live, mine(service("web", named(r.active))))
	}
	s := situation(t, 2, desired, live, nil)
	s.Strategy, s.Sets, s.Knobs, s.Back, s.Hashes, s.Floor = BlueGreen, r.sets, r.knobs, r.back, map[string]string{}, map[string]int{}
	if r.probed {
		s.Probe = "http://edge"
	}
	var err error
	if s.Desired, err = SideBySide(s.Desired, true); err != nil {
		t.Fatal(err)
	}
	if r.knob != "" {
		if s.Desired, err = ByRoute(s.Desired, r.knob); err != nil {
			t.Fatal(err)
		}
	}
	s.Desired = manifest.Sort(s.Desired)
	for _, set := range r.sets {
		s.Live[set.Ref().ID()] = set.Live
	}
	if r.still {
		for _, o := range manifest.OfKind(s.Desired, "apps", "Deployment") {
			s.Live[kube.RefOf(o.Unstructured).ID()] = o.Unstructured
		}
	}
	steps, err := Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// markOf is the mark that the set web of the manifests will have.
func markOf(t *testing.T, desired []string) string {
	t.Helper()
	objects, err := SideBySide(situation(t, 1, desired, nil, nil).Desired, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if WorkloadOf(o.Unstructured) == "web" && o.GetKind() == "Deployment" {
			return o.GetLabels()[SetLabel]
		}
	}
	t.Fatal("there is no Deployment web")
	return ""
}

// weights are the backends of a route, rule by rule.
func weights(route *unstructured.Unstructured) string {
	var rules []string
	eachRule(route.DeepCopy(), func(refs []any) []any {
		var rule []string
		for _, r := range refs {
			ref := r.(map[string]any)
			text := fmt.Sprint(ref["name"])
			if ref["port"] != nil {
				text += fmt.Sprint(":", ref["port"])
			}
			if ref["weight"] != nil {
				text += fmt.Sprint(" ", ref["weight"])
			}
			rule = append(rule, text)
		}
		rules = append(rules, strings.Join(rule, ", "))
		return refs
	})
	return strings.Join(rules, " | ")
}

// moves are the steps of a plan that move requests or let a time pass for it,
// with the new set's mark as NEW.
func moves(steps []Step, mark string) []string {
	var lines []string
	for _, s := range steps {
		switch {
		case s.Verb == VerbApply && s.Ref.Kind == "HTTPRoute":
			lines = append(lines, "route "+weights(s.Object))
		case s.Verb == VerbApply && s.Ref.Kind == "Deployment", s.Verb == VerbSwitch, s.Verb == VerbDrain, s.Verb == VerbPrune, s.Verb == VerbAnalyse:
			lines = append(lines, s.Short())
		case s.Verb == VerbServe:
			lines = append(lines, fmt.Sprint(s.Short(), " ", s.Time))
		}
	}
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], mark, "NEW")
	}
	return lines
}

func TestPlanByRoute(t *testing.T) {
	t.Parallel()
	web := []string{deployment("web", 3, "app: web"), service("web", "app: web")}
	knobs := Knobs{Propagation: 10 * time.Second, Analysis: 5 * time.Second}
	const (
		oldSelector = "app: web, towline.dev/set: " + oldMark
		newSelector = "app: web, towline.dev/set: NEW"
		preview     = "serve Service web-preview 0s"
		known       = "serve Service web-NEW 10s"
		promoted    = "switch Service web"
		served      = "serve Service web 10s"
		drained     = "drain Deployment web-0ld0ld00"
	)
	backends := []string{backendService(oldMark)}
	plain := httpRoute("{name: web, port: 80}")
	cases := map[string]struct {
		routing
		want []string
	}{
		"the first deployment": {routing{route: plain}, []string{
			"apply Deployment web-NEW", "route web-NEW:80", served,
		}},
		"the next one": {routing{route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 1}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 100, web-NEW:80 0", known, "route web-0ld0ld00:80 99, web-NEW:80 1", "route web-0ld0ld00:80 0, web-NEW:80 100",
			promoted, served, drained, "route web-NEW:80",
		}},
		"the next one, with requests counted": {routing{route: plain, probed: true, before: httpRoute("{name: web-0ld0ld00, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 100, web-NEW:80 0", known, "route web-0ld0ld00:80 99, web-NEW:80 1", "analyse HTTPRoute web", "route web-0ld0ld00:80 0, web-NEW:80 100",
			promoted, served, "analyse", drained, "route web-NEW:80",
		}},
		"resumed while the new set is known but has no requests": {routing{route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 100}, {name: web-NEW, port: 80, weight: 0}"), active: oldSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", preview, known, "route web-0ld0ld00:80 99, web-NEW:80 1", "route web-0ld0ld00:80 0, web-NEW:80 100",
			promoted, served, drained, "route web-NEW:80",
		}},
		"resumed while the new set has one percent": {routing{route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 99}, {name: web-NEW, port: 80, weight: 1}"), active: oldSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", preview, known, "route web-0ld0ld00:80 99, web-NEW:80 1", "route web-0ld0ld00:80 0, web-NEW:80 100",
			promoted, served, drained, "route web-NEW:80",
		}},
		"resumed when the new set has all requests of the route": {routing{route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 0}, {name: web-NEW, port: 80, weight: 100}"), active: oldSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", preview, promoted, served, drained, "route web-NEW:80",
		}},
		"resumed when all has moved": {routing{route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 0}, {name: web-NEW, port: 80, weight: 100}"), active: newSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", served, drained, "route web-NEW:80",
		}},
		"back, while the old set has all requests": {routing{back: true, route: plain, before: httpRoute("{name: web-NEW, port: 80}"), active: newSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", served, drained, "route web-NEW:80",
		}},
		"back from one percent": {routing{back: true, route: plain, before: httpRoute("{name: web-NEW, port: 80, weight: 99}, {name: web-0ld0ld00, port: 80, weight: 1}"), active: newSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", "serve Service web-NEW 0s", "route web-0ld0ld00:80 0, web-NEW:80 100", served, drained, "route web-NEW:80",
		}},
		"back to a set that is whole still": {routing{back: true, route: plain, before: httpRoute("{name: web-NEW, port: 80, weight: 0}, {name: web-0ld0ld00, port: 80, weight: 100}"), active: oldSelector, sets: []Set{oldSet(t, 3)}, still: true}, []string{
			"apply Deployment web-NEW", "serve Service web-NEW 0s", "route web-0ld0ld00:80 0, web-NEW:80 100", promoted, served, drained, "route web-NEW:80",
		}},
		"back to a set that has begun to go": {routing{back: true, route: plain, before: httpRoute("{name: web-NEW, port: 80, weight: 0}, {name: web-0ld0ld00, port: 80, weight: 100}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", known, "route web-0ld0ld00:80 0, web-NEW:80 100", promoted, served, drained, "route web-NEW:80",
		}},
		"back to a set that the route has forgotten": {routing{back: true, route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", "route web-0ld0ld00:80 100, web-NEW:80 0", known, "route web-0ld0ld00:80 0, web-NEW:80 100", promoted, served, drained, "route web-NEW:80",
		}},
		"over a route that named the Service itself": {routing{route: plain, before: httpRoute("{name: web, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", preview,
			"route web:80 100, web-NEW:80 0", known, "route web:80 99, web-NEW:80 1", "route web:80 0, web-NEW:80 100",
			promoted, served, drained, "route web-NEW:80",
		}},
		"to a route that is to name the Service itself": {routing{knob: "-", route: plain, before: httpRoute("{name: web-0ld0ld00, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 100, web:80 0", "serve Service web 10s", "route web-0ld0ld00:80 99, web:80 1", "route web-0ld0ld00:80 0, web:80 100",
			promoted, served, drained, "route web:80",
		}},
		"several rules, one of them with another Service": {routing{
			route:   httpRoute("{name: web, port: 80}", "{name: api, port: 80}", "{name: web, port: 81, weight: 5}"),
			desired: []string{deployment("api", 1, "app: api"), service("api", "app: api")},
			before:  httpRoute("{name: web-0ld0ld00, port: 80}", "{name: web-0ld0ld00, port: 81}"), active: oldSelector, sets: []Set{oldSet(t, 3)},
		}, []string{
			"apply Deployment web-NEW", "apply Deployment api-API", preview, "serve Service api-preview 0s",
			"route web-0ld0ld00:80 100, web-NEW:80 0 | api-API:80 | web-0ld0ld00:81 500, web-NEW:81 0", known,
			"route web-0ld0ld00:80 99, web-NEW:80 1 | api-API:80 | web-0ld0ld00:81 495, web-NEW:81 5",
			"route web-0ld0ld00:80 0, web-NEW:80 100 | api-API:80 | web-0ld0ld00:81 0, web-NEW:81 500",
			promoted, served, "serve Service api 10s", drained, "route web-NEW:80 | api-API:80 | web-NEW:81 5",
		}},
		"a foreign backend beside ours keeps its part": {routing{
			route:  httpRoute("{name: web, port: 80, weight: 9}, {name: legacy, port: 80}, {name: web, namespace: other, weight: 0}, {name: files, kind: Bucket, group: example.com, weight: 2}"),
			before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 9}, {name: legacy, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)},
		}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 900, web-NEW:80 0, legacy:80 100, web 0, files 200", known,
			"route web-0ld0ld00:80 891, web-NEW:80 9, legacy:80 100, web 0, files 200",
			"route web-0ld0ld00:80 0, web-NEW:80 900, legacy:80 100, web 0, files 200",
			promoted, served, drained, "route web-NEW:80 9, legacy:80, web 0, files 2",
		}},
		"weights that are large already do not grow beyond what is allowed": {routing{
			route:  httpRoute("{name: web, port: 80, weight: 500000}, {name: legacy, port: 80, weight: 1}"),
			before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 500000}, {name: legacy, port: 80, weight: 1}"), active: oldSelector, sets: []Set{oldSet(t, 3)},
		}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 1000000, web-NEW:80 0, legacy:80 100", known,
			"route web-0ld0ld00:80 990000, web-NEW:80 10000, legacy:80 100",
			"route web-0ld0ld00:80 0, web-NEW:80 1000000, legacy:80 100",
			promoted, served, drained, "route web-NEW:80 500000, legacy:80 1",
		}},
		"a port that has changed leaves the old one its own": {routing{route: httpRoute("{name: web, port: 8080}"), before: httpRoute("{name: web-0ld0ld00, port: 80}"), active: oldSelector, sets: []Set{oldSet(t, 3)}}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 100, web-NEW:8080 0", known, "route web-0ld0ld00:80 99, web-NEW:8080 1", "route web-0ld0ld00:80 0, web-NEW:8080 100",
			promoted, served, drained, "route web-NEW:8080",
		}},
		"over what an interrupted deployment has left, the busiest one gives way": {routing{
			route: plain, live: []string{backendService("5tray000")}, before: httpRoute("{name: web-0ld0ld00, port: 80, weight: 99}, {name: web-5tray000, port: 80, weight: 1}"), active: oldSelector, sets: []Set{oldSet(t, 3)},
		}, []string{
			"apply Deployment web-NEW", preview,
			"route web-0ld0ld00:80 100, web-NEW:80 0", known, "route web-0ld0ld00:80 99, web-NEW:80 1", "route web-0ld0ld00:80 0, web-NEW:80 100",
			promoted, served, drained, "route web-NEW:80",
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.desired = append(slices.Clone(web), c.desired...)
			c.live = append(slices.Clone(backends), c.live...)
			c.knobs = knobs
			switch c.knob {
			case "":
				c.knob = "web"
			case "-":
				c.knob = ""
			}
			got := moves(c.plan(t), markOf(t, c.desired))
			for i, line := range got {
				for field := range strings.FieldsSeq(line) {
					if mark, ok := strings.CutPrefix(strings.TrimSuffix(field, ":80"), "api-"); ok && mark != "preview" {
						got[i] = strings.ReplaceAll(got[i], "api-"+mark, "api-API")
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("plan (-want +got):\n", diff)
			}
		})
	}
}

func TestARouteThatCannotMoveRequestsIsRefused(t *testing.T) {
	t.Parallel()
	web, svc := deployment("web", 1, "app: web"), service("web", "app: web")
	for name, c := range map[string]struct{ knob, route, want string }{
		"the manifests have none of that name": {"edge", httpRoute("{name: web, port: 80}"), "there is no HTTPRoute edge in the manifests"},
		"it names no Service of ours":          {"web", httpRoute("{name: legacy, port: 80}"), "k8s/web.yaml:1: route: HTTPRoute web names no Service of the application"},
		"it names one in another namespace":    {"web", httpRoute("{name: web, namespace: other, port: 80}"), "names no Service of the application"},
		"it has no rules":                      {"web", httpRoute(), "names no Service of the application"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := SideBySide(situation(t, 1, []string{web, svc, c.route}, nil, nil).Desired, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ByRoute(objects, c.knob); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestABackendStandsForItsSetAlone(t *testing.T) {
	t.Parallel()
	desired := []string{deployment("web", 1, "app: web"), strings.Replace(service("web", "app: web"), "{port: 80}", "{port: 80, nodePort: 30080}", 1), httpRoute("{name: web, port: 80}")}
	objects, err := SideBySide(situation(t, 1, desired, nil, nil).Desired, true)
	if err != nil {
		t.Fatal(err)
	}
	if objects, err = ByRoute(objects, "web"); err != nil {
		t.Fatal(err)
	}
	mark := markOf(t, desired)
	backend, ok := manifest.Find(objects, manifest.ID{Kind: "Service", Namespace: "shop", Name: "web-" + mark})
	if !ok || SelectorOf(backend.Unstructured)[SetLabel] != mark || backend.GetLabels()[BackendLabel] != "web" || backend.GetLabels()[PreviewLabel] != "" {
		t.Fatalf("backend %v", backend.Unstructured)
	}
	ports, _, _ := unstructured.NestedSlice(backend.Object, "spec", "ports")
	if diff := cmp.Diff([]any{map[string]any{"port": int64(80)}}, ports); diff != "" {
		t.Error("ports (-want +got):\n", diff)
	}
	if left := WithoutPreviews(objects); len(left) != len(desired) {
		t.Errorf("%d objects without what stands for one set, want the %d of the manifests", len(left), len(desired))
	}
}
