package definition_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

func TestADeploySectionIsAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	f, err := definition.ParseDeploy([]byte("strategy: blue-green\nverify:\n  rate: 9000\nchecks:\n  after:\n    - prometheus: {address: http://p, query: up, max: 0.5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	half := 0.5
	want := pipeline.Deploy{Strategy: "blue-green", Verify: pipeline.Verify{Rate: 9000}, Checks: pipeline.Checks{
		After: []pipeline.Check{{Prometheus: &pipeline.PrometheusCheck{Address: "http://p", Query: "up", Max: &half}}},
	}}
	if diff := cmp.Diff(want, f.Deploy); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, c := range []struct {
		path         string
		line, column int
		ok           bool
	}{
		{"verify.rate", 3, 9, true},
		{"checks.after[0].prometheus.query", 6, 46, true},
		{"checks.after[0].timeout", 6, 17, true},
		{"namespace", 0, 0, false},
	} {
		line, column, ok := f.Place(c.path)
		if line != c.line || column != c.column || ok != c.ok {
			t.Errorf("%s is at %d:%d, %v; want %d:%d, %v", c.path, line, column, ok, c.line, c.column, c.ok)
		}
	}
}

func TestADeployFileWithAMisspeltKey(t *testing.T) {
	t.Parallel()
	_, err := definition.ParseDeploy([]byte("stratgy: rolling\n"))
	problems, ok := errors.AsType[definition.Problems](err)
	if want := `deploy.yaml:1:1: unknown key "stratgy"; did you mean "strategy"?`; !ok || problems.In("deploy.yaml") != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
