package rehearsal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

const ms = time.Millisecond

// of repeats a fate.
func of(n int, f Fate) []Fate {
	var out []Fate
	for range n {
		out = append(out, f)
	}
	return out
}

func TestJudge(t *testing.T) {
	t.Parallel()
	base := Observation{App: "web", KeepAlive: true, InFlight: 2, PreStop: 10 * time.Second, Detach: 10 * time.Second, Grace: 30 * time.Second, Own: 20 * time.Second}
	for _, tt := range []struct {
		name                string
		change              func(*Observation)
		clean, killed       bool
		cut, told, atOnce   int
		sentence, andAdvice string
	}{
		{
			name: "it exits at once",
			change: func(o *Observation) {
				o.Busy, o.Idle, o.End = of(2, Fate{Cut: 3 * ms}), of(2, Fate{Shut: 3 * ms}), 3*ms
			},
			cut: 2, atOnce: 2,
			sentence: "web exits 3 ms after SIGTERM with 2 requests in flight: clients with keep-alive connections will lose requests in every release; handle SIGTERM, or set drain: proxy",
		},
		{
			name: "it tells its clients and ends",
			change: func(o *Observation) {
				o.Busy, o.Idle, o.End = of(2, Fate{Told: 9 * ms, Last: 9 * ms}), of(2, Fate{Shut: 900 * ms}), 900*ms
			},
			clean: true, told: 2,
			sentence: "web answers what is in flight, closes its idle connections and ends 0.9 s after SIGTERM: nothing is lost",
		},
		{
			name: "it goes on until it is killed",
			change: func(o *Observation) {
				o.Busy, o.Idle, o.End, o.ExitCode = of(2, Fate{Cut: 20 * time.Second, Last: 19 * time.Second}), of(2, Fate{Shut: 20 * time.Second}), 20*time.Second, 137
			},
			killed: true, cut: 2, atOnce: 2,
			sentence:  "web goes on after SIGTERM until it is killed after 20 s, with 2 requests in flight: clients with keep-alive connections will lose requests in every release; handle SIGTERM, or set drain: proxy",
			andAdvice: "a longer terminationGracePeriodSeconds helps only if it ends by itself at all",
		},
		{
			name: "it tells its clients and does not end",
			change: func(o *Observation) {
				o.Busy, o.End, o.ExitCode = of(2, Fate{Told: 9 * ms}), 20*time.Second, 137
			},
			clean: true, killed: true, told: 2,
			sentence:  "web answers what is in flight but does not end: it is killed after 20 s, which each pod takes in every release",
			andAdvice: "a longer terminationGracePeriodSeconds helps only if it ends by itself at all",
		},
		{
			name: "it exits by itself with the code of a killed one",
			change: func(o *Observation) {
				o.Busy, o.End, o.ExitCode = of(2, Fate{Told: 9 * ms}), 100*ms, 137
			},
			clean: true, told: 2,
			sentence: "web answers what is in flight, closes its idle connections and ends 0.1 s after SIGTERM: nothing is lost",
		},
		{
			name: "it cuts kept connections",
			change: func(o *Observation) {
				o.Busy = append(of(1, Fate{Cut: 3 * ms}), Fate{Told: 8 * ms})
				o.Idle, o.End = of(2, Fate{Shut: 3 * ms}), 10*ms
			},
			cut: 1, told: 1, atOnce: 2,
			sentence: `web answers what it is working on, but closes keep-alive connections without a word to their clients: 1 request on the way got no answer; answer with "Connection: close" until they have left, for some seconds at most, before closing, or set drain: proxy`,
		},
		{
			name: "it closes idle connections before the busy ones were told",
			change: func(o *Observation) {
				o.Busy, o.Idle, o.End = of(2, Fate{Told: 8 * ms}), of(2, Fate{Shut: 3 * ms}), 10*ms
			},
			told: 2, atOnce: 2,
			sentence: `web answers what it is working on, but closes keep-alive connections without a word to their clients: a request that is just on its way is lost now and then; answer with "Connection: close" until they have left, for some seconds at most, before closing, or set drain: proxy`,
		},
		{
			name: "it keeps no connections",
			change: func(o *Observation) {
				o.KeepAlive = false
				o.Busy, o.Idle, o.End = of(2, Fate{Told: 8 * ms}), of(2, Fate{}), 2*time.Second
			},
			clean: true, told: 2,
			sentence: "web answers what is in flight and ends 2 s after SIGTERM; it keeps no connections open: nothing is lost",
		},
		{
			name: "it has no time",
			change: func(o *Observation) {
				o.PreStop, o.Own = 0, 30*time.Second
				o.Busy, o.End = of(2, Fate{Told: 8 * ms}), 18*time.Second
			},
			clean: true, told: 2,
			sentence: "web answers what is in flight, closes its idle connections and ends 18 s after SIGTERM: nothing is lost",
			andAdvice: "preStop lets a pod serve for 0 ms after it has left the Service, and it may take 10 s until every node knows: sleep that long; " +
				"terminationGracePeriodSeconds is 30: 10 s of preStop, 18 s to end and some room need 33",
		},
		{
			name: "the draining proxy stands before it",
			change: func(o *Observation) {
				o.Proxied = true
				o.Busy, o.Idle, o.End = of(2, Fate{Told: 8 * ms}), of(2, Fate{Shut: 1010 * ms}), 1020*ms
			},
			clean: true, told: 2,
			sentence: "the draining proxy answers what is in flight, closes idle connections, and lets web end after 1.0 s: nothing is lost",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := base
			tt.change(&o)
			d := Judge(o)
			if d.Clean != tt.clean || d.Killed != tt.killed || d.Cut != tt.cut || d.Told != tt.told || d.IdleAtOnce != tt.atOnce {
				t.Errorf("%+v", d)
			}
			if diff := cmp.Diff([]string{tt.sentence, tt.andAdvice}, []string{d.Sentence, d.Advice}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	clean, dirty := pipeline.Drain{Clean: true, Sentence: "fine"}, pipeline.Drain{Sentence: "bad", Advice: "sleep"}
	proxied := pipeline.Drain{Sentence: "bad", Proxied: true}
	unknown := pipeline.Drain{Unmeasured: "no node", Sentence: "not known"}
	for _, tt := range []struct {
		policy  string
		drain   pipeline.Drain
		proceed bool
		message string
		proxy   bool
	}{
		{PolicyWarn, clean, true, "fine", false},
		{PolicyWarn, dirty, true, "warning: bad; sleep", false},
		{PolicyWarn, unknown, true, "warning: not known", false},
		{"", dirty, true, "warning: bad; sleep", false},
		{PolicyRequire, clean, true, "fine", false},
		{PolicyRequire, dirty, false, "drain: require stops the deployment: bad; sleep", false},
		{PolicyRequire, unknown, false, "drain: require stops the deployment: not known", false},
		{PolicyProxy, clean, true, "fine", false},
		{PolicyProxy, dirty, true, "the pods get a draining proxy: bad; sleep", true},
		{PolicyProxy, unknown, true, "the pods get a draining proxy: not known", true},
		{PolicyProxy, proxied, false, "drain: proxy stops the deployment: bad", false},
		{PolicyOff, dirty, true, "", false},
	} {
		proceed, message := Decide(tt.policy, tt.drain)
		if proceed != tt.proceed || message != tt.message || NeedsProxy(tt.policy, tt.drain) != tt.proxy {
			t.Errorf("%s of %+v: %v, %q", tt.policy, tt.drain, proceed, message)
		}
	}
}

func TestTheCauseOfLossesOnKeptConnectionsIsNamed(t *testing.T) {
	t.Parallel()
	lost := pipeline.Verdict{Lost: 5, KeepAlive: pipeline.Lane{Lost: 4}}
	for _, tt := range []struct {
		name    string
		drain   *pipeline.Drain
		verdict pipeline.Verdict
		want    string
	}{
		{"none lost", &pipeline.Drain{}, pipeline.Verdict{Lost: 3, Fresh: pipeline.Lane{Lost: 3}}, ""},
		{"as foretold", &pipeline.Drain{Sentence: "web exits at once"}, lost,
			"4 of the 5 lost requests were on connections that their clients keep open, as the drain rehearsal foretold: web exits at once"},
		{"not foretold", &pipeline.Drain{Clean: true}, pipeline.Verdict{Lost: 1, KeepAlive: pipeline.Lane{Lost: 1}},
			"the lost request was on connections that their clients keep open, though the drain rehearsal lost none: something between the clients and the pods closes them, or a request took longer than the pod waited"},
		{"not rehearsed", nil, pipeline.Verdict{Lost: 4, KeepAlive: pipeline.Lane{Lost: 4}},
			"all 4 lost requests were on connections that their clients keep open: an application that closes these when it ends, without having told its clients, loses what is on its way; no rehearsal says whether this one does"},
	} {
		if diff := cmp.Diff(tt.want, Cause(tt.drain, tt.verdict)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
