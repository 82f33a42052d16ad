package rule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/rule"
)

// action is what the engine asks of a rule.
type action interface {
	Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error)
}

var (
	_ action = rule.VariableCheck{}
	_ action = rule.DeploymentWindow{}
)

func job(t testing.TB, configuration any) pipeline.Job {
	t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Job{
		Action: pipeline.Action{Name: "check", Configuration: text}, Configuration: text,
		Log: &bytes.Buffer{}, Progress: func(string) {},
	}
}

func TestVariableCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		variable, operator, value string
		outcome                   pipeline.Outcome
		message                   string
	}{
		"equal":                           {"main", "EQ", "main", pipeline.Succeeded, ""},
		"not equal":                       {"wip", "EQ", "main", pipeline.Failed, `rule check wants that #{push.Branch} is "main", but it is "wip"`},
		"case matters":                    {"Main", "EQ", "main", pipeline.Failed, `but it is "Main"`},
		"different":                       {"wip", "NE", "main", pipeline.Succeeded, ""},
		"not different":                   {"main", "NE", "main", pipeline.Failed, `is not "main"`},
		"contained":                       {"please update it", "CONTAINS", "update", pipeline.Succeeded, ""},
		"not contained":                   {"please mend it", "CONTAINS", "update", pipeline.Failed, `contains "update"`},
		"matching":                        {"v1.20", "MATCHES", `v\d+\.\d+`, pipeline.Succeeded, ""},
		"matching in part is not enough":  {"v1.20-rc1", "MATCHES", `v\d+\.\d+`, pipeline.Failed, `but it is "v1.20-rc1"`},
		"alternatives are whole as well":  {"ab", "MATCHES", "a|b", pipeline.Failed, ""},
		"several lines":                   {"one\ntwo", "MATCHES", "(?s)one.*", pipeline.Succeeded, ""},
		"the end is not the end of lines": {"one\n", "MATCHES", "one", pipeline.Failed, ""},
		"not an expression":               {"a", "MATCHES", "(", pipeline.Failed, "no regular expression"},
		"brackets that close ours":        {"b", "MATCHES", "a)|(?:b", pipeline.Failed, "no regular expression"},
		"Java alone":                      {"a", "MATCHES", "(?=a).", pipeline.Failed, "RE2 has no look-around"},
		"an unknown operator":             {"1", "GT", "0", pipeline.Failed, `there is no operator "GT": choose EQ, NE, CONTAINS or MATCHES`},
		"a long value":                    {strings.Repeat("x", 5000), "EQ", "y", pipeline.Failed, `xxx..."`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := job(t, map[string]string{"Variable": c.variable, "Operator": c.operator, "Value": c.value})
			asked.Action.Configuration = json.RawMessage(`{"Variable": "#{push.Branch}"}`)
			got, err := rule.VariableCheck{}.Run(t.Context(), asked)
			if err != nil || got.Outcome != c.outcome || !strings.Contains(got.Message, c.message) || len(got.Message) > 400 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestAConfigurationThatIsUnknownIsAFault(t *testing.T) {
	t.Parallel()
	for _, r := range []action{rule.VariableCheck{}, rule.DeploymentWindow{Now: time.Now}} {
		if _, err := r.Run(t.Context(), job(t, map[string]string{"Varia": "x"})); err == nil || !strings.Contains(err.Error(), `unknown field "Varia"`) {
			t.Errorf("%T: got %v", r, err)
		}
	}
}

func TestDeploymentWindow(t *testing.T) {
	t.Parallel()
	saturday := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		cron, zone string
		outcome    pipeline.Outcome
		waits      time.Duration
		says       string
	}{
		"open":                    {"* * 0-5 ? * *", "", pipeline.Succeeded, 0, "window open until Sat 2000-01-01 06:00 UTC"},
		"opens in the morning":    {"* * 9-17 ? * *", "", pipeline.Succeeded, 9 * time.Hour, "until Sat 2000-01-01 18:00 UTC"},
		"opens on Monday":         {"* * 9-17 ? * MON-FRI", "Europe/Berlin", pipeline.Succeeded, 56 * time.Hour, "until Mon 2000-01-03 18:00 CET"},
		"opens for a minute":      {"0 0 9-17 ? * MON-FRI *", "UTC+01:00", pipeline.Succeeded, 56 * time.Hour, "until Mon 2000-01-03 09:01 UTC+01:00"},
		"has opened never":        {"* 0 0 30 2 ?", "", pipeline.Failed, 0, `the window "* 0 0 30 2 ?" never opens again`},
		"is over":                 {"* * * * * ? 1999", "", pipeline.Failed, 0, "never opens again"},
		"cannot be read":          {"at nine", "", pipeline.Failed, 0, `the window "at nine" cannot be read: it has 2 fields`},
		"lies in no time zone":    {"* * * * * ?", "Mars", pipeline.Failed, 0, `there is no time zone "Mars"`},
		"open at any time":        {"* * * * * ?", "", pipeline.Succeeded, 0, "window open"},
		"in the form of crontabs": {"* 1 * * *", "", pipeline.Succeeded, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := saturday
			window := rule.DeploymentWindow{Now: func() time.Time { return now }}
			asked := job(t, pipeline.DeploymentWindow{Cron: c.cron, TimeZone: c.zone})
			got, err := window.Run(t.Context(), asked)
			if !got.Again.IsZero() {
				if got.Outcome != "" || !strings.Contains(got.Summary, "which opens ") {
					t.Errorf("while it waits: %+v", got)
				}
				now = got.Again
				got, err = window.Run(t.Context(), asked)
			}
			if err != nil || got.Outcome != c.outcome || !strings.Contains(got.Message+got.Summary, c.says) {
				t.Errorf("got %+v, %v", got, err)
			}
			if waited := now.Sub(saturday); waited != c.waits {
				t.Errorf("waited %s, want %s", waited, c.waits)
			}
		})
	}
}

func FuzzVariableCheck(f *testing.F) {
	f.Add("main", "MATCHES", "(a*)*b")
	f.Add("main", "EQ", "main")
	f.Fuzz(func(t *testing.T, variable, operator, value string) {
		asked := job(t, pipeline.VariableCheck{Variable: variable, Operator: operator, Value: value})
		if got, err := (rule.VariableCheck{}).Run(t.Context(), asked); err != nil || (got.Outcome != pipeline.Succeeded) != (got.Message != "") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
