package pipeline_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestDeployProblems(t *testing.T) {
	t.Parallel()
	one, two := 1.0, 2.0
	for _, c := range []struct {
		name string
		d    pipeline.Deploy
		want string // path: message, one a line
	}{
		{"nothing said is right", pipeline.Deploy{}, ""},
		{"every knob of Rolling", pipeline.Deploy{Strategy: "rolling", Surge: "25%", Propagation: "30s", Analysis: "0s", Drain: "proxy"}, ""},
		{"every knob of Immutable", pipeline.Deploy{Strategy: "immutable", Cutover: "atomic", Approval: true, ApprovalWait: "1h", ScaleDownDelay: "0s"}, ""},
		{"every knob of Blue/Green", pipeline.Deploy{Strategy: "blue-green", Cutover: "union", Approval: true, Checks: pipeline.Checks{
			Before: []pipeline.Check{{HTTP: &pipeline.HTTPCheck{Path: "/"}}, {Job: "smoke"}},
			After:  []pipeline.Check{{Prometheus: &pipeline.PrometheusCheck{Address: "http://prometheus:9090", Query: "up", Max: &two}}},
		}}, ""},
		{"variables of a pipeline are not looked into", pipeline.Deploy{Namespace: "#{a.B}", App: "#{a.B}", Verify: pipeline.Verify{URL: "#{a.URL}"}, Images: map[string]string{"web": "#{image.ImageURI}"}}, ""},
		{"a strategy that there is not", pipeline.Deploy{Strategy: "yolo", Surge: "1", Cutover: "atomic"}, `strategy: unknown strategy "yolo"`},
		{"enumerations", pipeline.Deploy{Method: "helm", Drain: "maybe", PullSecret: "on", Verify: pipeline.Verify{Method: "PUT", From: "home"}},
			"method: unknown method \"helm\"\ndrain: unknown drain \"maybe\"\npullSecret: unknown pullSecret \"on\"\nverify.method: unknown method \"PUT\"\nverify.from: unknown from \"home\""},
		{"Rolling has no cut-over", pipeline.Deploy{Cutover: "union", Route: "web", Approval: true, ApprovalWait: "1h", ScaleDownDelay: "1m", Checks: pipeline.Checks{Before: []pipeline.Check{{Job: "smoke"}}}},
			"cutover: strategy rolling has no cutover\nroute: strategy rolling has no route\napproval: strategy rolling has no approval\nscaleDownDelay: strategy rolling has no scaleDownDelay\nchecks.before: strategy rolling has no checks.before"},
		{"Immutable has no surge, route and union", pipeline.Deploy{Strategy: "immutable", Surge: "1", Route: "web", Cutover: "union"},
			"surge: strategy immutable has no surge\nroute: strategy immutable has no route\ncutover: cutover union is of strategy blue-green"},
		{"a route moves no Service", pipeline.Deploy{Strategy: "blue-green", Route: "web", Cutover: "atomic"},
			"cutover: cutover says how a Service moves, and the weights of HTTPRoute web move the requests instead"},
		{"a wait for an approval that nobody gives", pipeline.Deploy{Strategy: "immutable", ApprovalWait: "1h"}, "approvalWait: nothing is approved"},
		{"durations", pipeline.Deploy{Timeout: "5 minutes", Propagation: "0s", Analysis: "-1s"},
			"timeout: \"5 minutes\" is not a duration\npropagation: \"0s\" is not a duration\nanalysis: \"-1s\" is not a duration"},
		{"a surge of nothing", pipeline.Deploy{Surge: "0"}, `surge: "0" is not how many new pods may start beside the old ones`},
		{"names", pipeline.Deploy{App: "Web", Namespace: "a_b", Variables: map[string]string{"A-B": ""}, Images: map[string]string{"web": ""}},
			"namespace: \"a_b\" is not the name of a namespace\napp: \"Web\" is not the name of an application\nvariables.A-B: \"A-B\" is not the name of a variable\nimages.web: image \"web\" gets the reference \"\""},
		{"a chart and manifests", pipeline.Deploy{Manifests: "k8s", Helm: &pipeline.Helm{Values: []string{""}}},
			"manifests: both manifests and helm are given\nhelm.chart: the chart is not named\nhelm.values[0]: the values file has no name"},
		{"what is verified", pipeline.Deploy{Verify: pipeline.Verify{URL: "web/healthz", Service: "web", Body: "x", From: "proxy", Rate: 5001, Budget: -1, Header: map[string]string{"a b": ""}}},
			"verify.url: both verify.url and verify.service are given\nverify.url: this is not the URL of a web server\nverify.header.a b: \"a b\" is not a header of a request\n" +
				"verify.body: a request by GET has no body\nverify.from: the API server's proxy leads to Services only, and verify.url is given\nverify.rate: rate is 5001\nverify.budget: budget is -1"},
		{"checks of no kind, and of two", pipeline.Deploy{Strategy: "immutable", Checks: pipeline.Checks{Before: []pipeline.Check{{}}, After: []pipeline.Check{{Job: "a", HTTP: &pipeline.HTTPCheck{Status: 42, Times: -1}, Timeout: "1"}}}},
			"checks.before[0]: the check asks nothing\nchecks.after[0].http.status: 42 is not an HTTP status\nchecks.after[0].http.times: times is -1\n" +
				"checks.after[0]: the check asks http and job at once\nchecks.after[0].timeout: \"1\" is not a duration"},
		{"limits of a query", pipeline.Deploy{Checks: pipeline.Checks{After: []pipeline.Check{{Prometheus: &pipeline.PrometheusCheck{Min: &two, Max: &one}}, {Prometheus: &pipeline.PrometheusCheck{Address: "http://p", Query: "up"}}}}},
			"checks.after[0].prometheus.address: the Prometheus server has no address\nchecks.after[0].prometheus.query: there is no query\n" +
				"checks.after[0].prometheus.min: min 2 is more than max 1, so that no value is good\nchecks.after[1].prometheus: any value would be good"},
		{"a kind that is pruned anyway", pipeline.Deploy{Prune: []string{"Namespace", "ConfigMap"}}, `prune[1]: "ConfigMap" is not a kind that is kept`},
		{"a proxy in manifests that stay as written", pipeline.Deploy{AsWritten: true, Drain: "proxy"}, "drain: drain proxy puts a container into the pods, and asWritten leaves the manifests as they are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range c.d.Problems() {
				got = append(got, p.Path+": "+p.Message)
				if p.Hint == "" {
					t.Errorf("%s has no mend", p.Path)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestAPasswordIsNotInAProblem gives a URL that cannot be read.
func TestAPasswordIsNotInAProblem(t *testing.T) {
	t.Parallel()
	for _, p := range (pipeline.Deploy{Verify: pipeline.Verify{URL: "ftp://anna:s3cret@web", From: "proxy"}}).Problems() {
		if strings.Contains(p.String(), "s3cret") {
			t.Errorf("%s", p)
		}
	}
}

// TestEveryEnumerationIsChecked finds the fields whose tag lists their values.
func TestEveryEnumerationIsChecked(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[pipeline.Deploy]().Fields() {
		if !strings.Contains(field.Tag.Get("jsonschema"), "enum=") {
			continue
		}
		var d pipeline.Deploy
		reflect.ValueOf(&d).Elem().FieldByName(field.Name).SetString("no such thing")
		path, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		problems := d.Problems()
		if len(problems) == 0 || problems[0].Path != path {
			t.Errorf("%s takes anything: %v", path, problems)
		}
	}
}
