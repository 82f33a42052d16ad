// Package check asks the questions that a deployment must have answered well
// before its requests move, and after: an HTTP request, a Job, a query to
// Prometheus. Its noun is the check. deploy calls it between the steps and
// says which Service is to be asked: the preview or the active one.
//
// An answer that is not good yet is asked for again until the check's timeout.
// A check that has not become good by then is a refusal, whatever it was that
// kept it from it: a new revision of which nobody can say that it is well must
// not get the requests.
//
// It knows no plan, no strategy and no journal. Beyond what package job needs,
// its credentials need to get services and services/proxy, and may list nodes.
package check

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// The timing of a check.
const (
	defaultTimeout = time.Minute
	answerTime     = 10 * time.Second       // for one answer
	betweenGood    = 100 * time.Millisecond // answers
	betweenBad     = time.Second
)

// Config is what a check needs to know of its deployment.
type Config struct {
	Cluster   *kube.Cluster
	Method    job.Method // by which Jobs are made, default the Cluster
	Log       *runbook.Runbook
	App       string
	Namespace string
	Set       string // of the pods that are checked, the value of towline.dev/set; empty where there are none
	Service   string // to ask, where the check names none
	// Jobs are the rendered Jobs that the manifests mark as checks.
	Jobs []manifest.Object
	// Sequence of the deployment, which the names of its Jobs carry.
	Sequence int64
	// Key names the deployment and the check's place in it, such as
	// KEY/before/0: a Job is found again by it after a crash.
	Key string
	// Now is the clock, default time.Now.
	Now func() time.Time
}

// Result is a check that said yes.
type Result struct {
	Name     string  `json:"name"`
	Asked    string  `json:"asked"`    // "GET /healthz of Service web-preview"
	Answered string  `json:"answered"` // "200 OK", "0.25"
	Times    int     `json:"times"`    // answers that were read, good and bad
	Seconds  float64 `json:"seconds"`
}

// answer is what one question got.
type answer struct {
	Good bool
	Said string // for people, without credentials
	// Final says that asking again brings no other answer.
	Final bool
}

// question can be asked again and again.
type question struct {
	asked    string // for people, without credentials
	expected string // likewise
	times    int    // good answers in a row that are wanted
	ask      func(context.Context) answer
}

// Run asks one question until it is answered well. A refusal has what was
// asked, what was answered and what was expected. Any other error means that
// ctx has ended, or that the Job of a check could not be followed.
func Run(ctx context.Context, config Config, check pipeline.Check) (Result, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Method == nil {
		config.Method = config.Cluster
	}
	timeout, err := timeoutOf(check)
	if err != nil {
		return Result{}, err
	}
	begin := config.Now()
	var result Result
	switch {
	case kinds(check) != 1:
		err = refusal.New("check %s: exactly one of http, job and prometheus must be set, and %d are", check, kinds(check))
	case check.HTTP != nil:
		result, err = config.asking(ctx, check, timeout, config.http)
	case check.Prometheus != nil:
		result, err = config.asking(ctx, check, timeout, config.prometheus)
	default:
		result, err = config.job(ctx, check, timeout)
	}
	if err != nil {
		return Result{}, err
	}
	result.Name, result.Seconds = nameOf(check), config.Now().Sub(begin).Seconds()
	return result, nil
}

func kinds(check pipeline.Check) int {
	n := 0
	for _, set := range []bool{check.HTTP != nil, check.Prometheus != nil, check.Job != ""} {
		if set {
			n++
		}
	}
	return n
}

func timeoutOf(check pipeline.Check) (time.Duration, error) {
	if check.Timeout == "" {
		return defaultTimeout, nil
	}
	timeout, err := time.ParseDuration(check.Timeout)
	if err != nil || timeout <= 0 {
		return 0, refusal.New("check %s: timeout %q is not a time such as 30s or 2m", nameOf(check), check.Timeout)
	}
	return timeout, nil
}

// nameOf is what the log calls a check.
func nameOf(check pipeline.Check) string {
	switch {
	case check.Name != "":
		return check.Name
	case check.Job != "":
		return "Job " + check.Job
	case check.HTTP != nil:
		return "http"
	}
	return "prometheus"
}

// asking makes a question of a check, and asks it.
func (c Config) asking(ctx context.Context, check pipeline.Check, timeout time.Duration,
	of func(pipeline.Check) (question, error)) (Result, error) {
	q, err := of(check)
	if err != nil {
		return Result{}, refusal.New("check %s: %v", nameOf(check), err)
	}
	c.Log.Line("check   %s: %s, expecting %s, within %s", nameOf(check), q.asked, q.expected, timeout)
	return c.until(ctx, nameOf(check), q, timeout)
}

// until asks until so many good answers have come in a row.
func (c Config) until(ctx context.Context, name string, q question, timeout time.Duration) (Result, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := Result{Asked: q.asked}
	for good := 0; ; {
		asking, cancel := context.WithTimeout(limited, answerTime)
		a := q.ask(asking)
		cancel()
		// A question that the end of the time cut off is no answer, unless there
		// is no other.
		cut := limited.Err() != nil && !a.Good
		if !cut || result.Times == 0 {
			result.Times++
			result.Answered = a.Said
		}
		pause := betweenBad
		if a.Good {
			good++
			pause = betweenGood
		} else if !cut {
			good = 0
		}
		if good >= q.times {
			return result, nil
		}
		if !cut {
			c.Log.Report("check "+name, progress(q, good, a))
		}
		if !a.Final && wait(limited, pause) {
			continue
		}
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("check %s: %w", name, context.Cause(ctx))
		}
		within := ""
		if !a.Final {
			within = fmt.Sprintf(" within %s", timeout)
		}
		return Result{}, refusal.New("check %s did not become good%s: asked %s, answered %s, expected %s",
			name, within, q.asked, result.Answered, q.expected)
	}
}

func progress(q question, good int, a answer) string {
	switch {
	case a.Good && q.times > 1:
		return fmt.Sprintf("%d of %d good answers in a row: %s", good, q.times, a.Said)
	case a.Good:
		return a.Said
	}
	return "not good yet: " + a.Said
}

// wait tells whether there is time left after a pause.
func wait(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// excerpt is the beginning of a text on one line, for people: without what a
// terminal would obey.
func excerpt(text string) string {
	const most = 160
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}
