package check

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/pipeline"
)

// recorded is what a real Prometheus 2.42 has answered once: its package is too
// large to be installed for these tests.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "prometheus", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// prometheus serves one recorded answer, whatever is asked.
func prometheus(t *testing.T, code int, name string) (address string, asked *[]string) {
	t.Helper()
	body := recorded(t, name)
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path+" "+r.FormValue("query"))
		w.WriteHeader(code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestPrometheusSaysYes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, recorded string
		limits         pipeline.PrometheusCheck
		want           string
	}{
		{"one sample within the limits", "one", pipeline.PrometheusCheck{Min: new(1.0), Max: new(1.0)}, "1"},
		{"a scalar", "scalar", pipeline.PrometheusCheck{Min: new(0.5)}, "1"},
		{"several samples", "several", pipeline.PrometheusCheck{Min: new(0.0)}, "4 samples, all within the limits"},
		{"a value that is as great as can be", "infinite", pipeline.PrometheusCheck{Min: new(0.0)}, "+Inf"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var asked *[]string
			c.limits.Address, asked = prometheus(t, http.StatusOK, c.recorded)
			c.limits.Address += "/prefix/"
			c.limits.Query = `up{namespace="{{namespace}}", set='{{ set }}'}`
			result, err := Run(t.Context(), config(t), pipeline.Check{Name: "load", Prometheus: &c.limits})
			if err != nil || result.Answered != c.want {
				t.Errorf("answered %q, %v; want %q", result.Answered, err, c.want)
			}
			if want := `/prefix/api/v1/query up{namespace="shop", set='0b7d1144'}`; len(*asked) != 1 || (*asked)[0] != want {
				t.Errorf("asked %q, want %q", *asked, want)
			}
		})
	}
}

func TestPrometheusSaysNo(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, recorded string
		code           int
		again          bool // it is asked again until the timeout
		want           string
	}{
		{"no sample", "empty", 200, true, "answered no sample at all"},
		{"a value that is no number", "nan", 200, true, "answered NaN"},
		{"a value beyond the limits", "infinite", 200, true, `answered {instance="prometheus:9090", job="self"} +Inf`},
		{"a query that cannot be parsed", "bad_query", 400, false, `an error of Prometheus, bad_data: invalid parameter "query": 1:4: parse error: unexpected end of input inside braces`},
		{"a query that cannot be carried out", "many_to_many", 422, true, "an error of Prometheus, execution: found duplicate series"},
		{"a query that takes too long", "timeout", 503, true, "an error of Prometheus, timeout: query timed out"},
		{"a range", "range", 200, false, "a range of values: take the [...] out of the query"},
		{"a text", "text", 200, false, "a string, which has no value"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, asked := prometheus(t, c.code, c.recorded)
			check := pipeline.Check{Name: "load", Timeout: "2500ms", Prometheus: &pipeline.PrometheusCheck{Address: address, Query: "up", Min: new(0.0), Max: new(1e9)}}
			_, err := Run(t.Context(), config(t), check)
			if !refusal.Is(err) {
				t.Fatalf("error %v, want a refusal", err)
			}
			for _, want := range []string{c.want, "check load did not become good", "asked up of Prometheus at " + address, "expected 0 to 1e+09"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("refusal %q\nwant %q in it", err, want)
				}
			}
			if again := len(*asked) > 1; again != c.again {
				t.Errorf("asked %d times", len(*asked))
			}
			if strings.Contains(err.Error(), "within 2.5s") != c.again {
				t.Errorf("refusal %q", err)
			}
		})
	}
}

func TestPrometheusThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>Welcome</html>")) }))
	t.Cleanup(page.Close)
	cases := map[string]struct{ address, want string }{
		"nobody listens":         {"http://anna:hunter2@127.0.0.1:1", "connection refused"},
		"something else answers": {page.URL, `no answer of Prometheus: "<html>Welcome</html>"`},
		"an address of no use":   {"prometheus:9090", "write it as http://HOST"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := pipeline.Check{Timeout: "1s", Prometheus: &pipeline.PrometheusCheck{Address: c.address, Query: "up", Min: new(0.0)}}
			_, err := Run(t.Context(), config(t), check)
			if !refusal.Is(err) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestPrometheusCheckNeedsALimit(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), config(t), pipeline.Check{Prometheus: &pipeline.PrometheusCheck{Address: "http://127.0.0.1:1", Query: "up"}})
	if !refusal.Is(err) || !strings.Contains(err.Error(), "set min, max or both") {
		t.Errorf("error %v", err)
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	values := map[string]string{"namespace": "shop", "app": `a"b\c'd`, "set": "", "tick": "a`b"}
	cases := []struct{ name, query, want, err string }{
		{"nothing to fill in", `sum(rate(x[5m]))`, `sum(rate(x[5m]))`, ""},
		{"in double quotes", `x{ns="{{namespace}}", app="{{ app }}"}`, `x{ns="shop", app="a\"b\\c'd"}`, ""},
		{"in single quotes", `x{app='{{app}}'}`, `x{app='a"b\\c\'d'}`, ""},
		{"in backquotes nothing is escaped", "x{app=`{{app}}`}", "x{app=`a\"b\\c'd`}", ""},
		{"in backquotes that the value would end", "x{app=`{{tick}}`}", "", "in backquotes"},
		{"after an escaped quote", `x{a="\"{{namespace}}"}`, `x{a="\"shop"}`, ""},
		{"as the name of a metric", `{{namespace}}_requests`, `shop_requests`, ""},
		{"outside of quotes, where it would be more than a name", `x{app={{app}}}`, "", "outside of quotes"},
		{"after a comment with a quote", "# it's\nx{ns=\"{{namespace}}\"}", "# it's\nx{ns=\"shop\"}", ""},
		{"one that this deployment has not", `x{set="{{set}}"}`, "", "this deployment has none"},
		{"one that nobody has", `x{pod="{{pod}}"}`, "", "{{pod}}, which stands for nothing: use {{app}}, {{namespace}}"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := fill(c.query, values)
			if got != c.want || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("filled %q, %v\nwant %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

// Whatever a value is, the string that it is put into has it and nothing else.
func FuzzFill(f *testing.F) {
	f.Add("web", "x")
	f.Add(`"} or vector(1) #`, "\\")
	f.Add("\\", "a\nb")
	f.Fuzz(func(t *testing.T, value, query string) {
		filled, err := fill(`"{{app}}"`, map[string]string{"app": value})
		if value == "" || !utf8.ValidString(value) {
			if err == nil {
				t.Errorf("%q is to be refused", value)
			}
			return
		}
		if got, unquoteErr := strconv.Unquote(filled); err != nil || unquoteErr != nil || got != value {
			t.Errorf("%q became %s, which is %q: %v, %v", value, filled, got, err, unquoteErr)
		}
		_, _ = fill(query, map[string]string{"app": value})
	})
}

func FuzzParseSamples(f *testing.F) {
	entries, err := os.ReadDir("testdata/prometheus")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range entries {
		f.Add(200, recorded(f, strings.TrimSuffix(entry.Name(), ".json")))
	}
	f.Add(200, []byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]},null]}}`))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		samples, err := parseSamples(code, body)
		if err == nil {
			judge(samples, pipeline.PrometheusCheck{Min: new(0.0)})
			return
		}
		if err.Error() == "" || len(err.Error()) > 4096 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	})
}

func TestServiceName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"prometheus":                              "shop/prometheus",
		"prometheus.monitoring":                   "monitoring/prometheus",
		"prometheus.monitoring.svc":               "monitoring/prometheus",
		"prometheus.monitoring.svc.cluster.local": "monitoring/prometheus",
		"prometheus.example.com":                  "",
		"":                                        "",
	} {
		service, namespace, ok := serviceName(host, "shop")
		if got := namespace + "/" + service; ok != (want != "") || (ok && got != want) {
			t.Errorf("%q is %s, %t; want %q", host, got, ok, want)
		}
	}
}

func TestHopeless(t *testing.T) {
	t.Parallel()
	if hopeless(errors.New("reset")) || hopeless(&queryError{code: 502}) || !hopeless(&queryError{code: 401}) {
		t.Error("what may change by itself is asked again, and what does not is not")
	}
}

func config(t *testing.T) Config {
	log := &strings.Builder{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the runbook:\n%s", log)
		}
	})
	return Config{Log: runbook.New(log, nil), App: "web", Namespace: "shop", Set: "0b7d1144", Service: "web", Sequence: 7, Key: "k"}
}
