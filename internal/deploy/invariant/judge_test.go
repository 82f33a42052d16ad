package invariant

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
)

var now = time.Unix(1000, 0)

func ago(d time.Duration) time.Time { return now.Add(-d) }

var (
	blue  = map[string]string{"app": "web", plan.SetLabel: "blue"}
	green = map[string]string{"app": "web", plan.SetLabel: "green"}
)

// calm is a moment at which all is well: a Service with three old pods.
func calm() View {
	v := View{Now: now, Services: []Service{{Name: "web", Selector: blue, Ready: 3, Floor: 3}}}
	for _, name := range []string{"a", "b", "c"} {
		v.Pods = append(v.Pods, Pod{Name: name, Old: true, Services: []string{"web"}, Serving: true, Selected: true, Ready: true, PreStop: 10 * time.Second})
	}
	v.Fenced = []Fenced{{Ref: kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, Sequence: 7}}
	return v
}

// miss takes a pod out of the endpoints, for so long now.
func miss(v *View, lasted time.Duration, change func(*Pod)) {
	for i := range v.Pods {
		if p := &v.Pods[i]; p.Serving {
			p.Serving, p.Left = false, ago(lasted)
			change(p)
			v.Services[0].Ready--
			v.Services[0].Short = ago(lasted)
			return
		}
	}
}

// The ways in which an endpoint is lost.
func crashed(p *Pod) { p.Ready = false }
func evicted(p *Pod) { p.Deleted, p.Disrupted, p.Unwanted = p.Left, true, true }
func taken1(p *Pod) {
	p.Deleted, p.Unwanted = p.Left.Add(-10*time.Second), true
	p.Left = p.Deleted.Add(-time.Hour)
}
func removed(p *Pod)  { p.Deleted = p.Left }
func detached(p *Pod) { p.Selected = false }
func vanished(*Pod)   {}
func flapping(p *Pod) { p.Ready, p.Flap = false, 21*time.Second }
func fresh(change func(*Pod)) func(*Pod) {
	return func(p *Pod) { p.Old = false; change(p) }
}

func TestJudgeReadyEndpoints(t *testing.T) {
	t.Parallel()
	type loss struct {
		change func(*Pod)
		lasted time.Duration
	}
	cases := []struct {
		name string
		lost []loss
		want string // empty: no breach
	}{
		{"nothing is missing", nil, ""},
		{"a pod that its workload wanted no more", []loss{{taken1, 1500 * time.Millisecond}}, "I1 2 of 3: this deployment has taken pods away before others stood in for them (a)"},
		{"the same, but it may be the watch", []loss{{taken1, skew}}, ""},
		{"a pod that the selector means no more", []loss{{detached, 1500 * time.Millisecond}}, "I1 2 of 3: this deployment has taken"},
		{"a healthy pod that is no endpoint", []loss{{vanished, 1500 * time.Millisecond}}, "I1 2 of 3: this deployment has taken"},
		{"an old pod that crashed", []loss{{crashed, time.Hour}}, ""},
		{"an old pod that was evicted", []loss{{evicted, time.Hour}}, ""},
		{"an old pod that somebody deleted", []loss{{removed, time.Hour}}, ""},
		{"two old pods that crashed", []loss{{crashed, time.Hour}, {crashed, time.Hour}}, ""},
		{"all old pods crashed, for a moment", []loss{{crashed, grace}, {crashed, grace}, {crashed, grace}}, ""},
		{"all old pods crashed for good", []loss{{crashed, 3 * time.Second}, {crashed, 3 * time.Second}, {crashed, 3 * time.Second}}, "I1 0 of 3: all old pods have failed since this deployment began (a, b, c)"},
		{"a new pod that fails for a moment", []loss{{fresh(crashed), grace}}, ""},
		{"a new pod whose probe may pass again", []loss{{fresh(flapping), 15 * time.Second}}, ""},
		{"a new pod whose probe has failed again and again", []loss{{fresh(flapping), 22 * time.Second}}, "I1 2 of 3: new pods do not stay ready (a)"},
		{"all new pods are given no time", []loss{{fresh(flapping), 3 * time.Second}, {fresh(flapping), 3 * time.Second}, {fresh(flapping), 3 * time.Second}}, "I1 0 of 3: new pods do not stay ready (a, b, c)"},
		{"a new pod that fails for good", []loss{{fresh(crashed), 3 * time.Second}}, "I1 2 of 3: new pods do not stay ready (a)"},
		{"an old pod crashed, and another was taken", []loss{{crashed, 1500 * time.Millisecond}, {taken1, 1500 * time.Millisecond}}, "I1 1 of 3: this deployment has taken pods away before others stood in for them (b)"},
		{"an old pod crashed, and a new one does not hold", []loss{{crashed, 3 * time.Second}, {fresh(crashed), 3 * time.Second}}, "I1 1 of 3: new pods do not stay ready (b)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := calm()
			for _, l := range c.lost {
				miss(&v, l.lasted, l.change)
			}
			want := strings.NewReplacer("I1 0 of 3", "has 0 ready endpoints, and had 3", "I1 1 of 3", "has 1 ready endpoints, and had 3", "I1 2 of 3", "has 2 ready endpoints, and had 3").Replace(c.want)
			wantBreach(t, Judge(v, Baseline{Revision: 7, Propagation: 10 * time.Second}), want, "I1")
		})
	}
	t.Run("the only old pod crashed for good", func(t *testing.T) {
		t.Parallel()
		v := calm()
		v.Pods, v.Services[0].Ready, v.Services[0].Floor = v.Pods[:1], 1, 1
		miss(&v, time.Hour, crashed)
		wantBreach(t, Judge(v, Baseline{Revision: 7}), "", "")
	})
}

func TestJudgeSelectors(t *testing.T) {
	t.Parallel()
	moved := func(at time.Time, replaced, ready, enough int) func(*View) {
		return func(v *View) {
			v.Services[0].Selector = green
			v.Services[0].Switch = &Switch{From: blue, To: green, At: at, Replaced: replaced, Ready: ready, Enough: enough}
		}
	}
	cases := []struct {
		name      string
		change    func(*View)
		want      string
		invariant string
	}{
		{"an empty selector", func(v *View) { v.Services[0].Selector = nil }, "the selector of Service web has become empty", "I3"},
		{"a Service that is gone", func(v *View) { v.Services[0].Gone = true }, "Service web has been deleted", "I3"},
		{"a switch to as many ready pods", moved(ago(time.Minute), 3, 3, 99), "", ""},
		{"a switch to fewer", moved(ago(2*time.Second), 3, 2, 99), "went from app=web,towline.dev/set=blue to app=web,towline.dev/set=green, which means 2 ready pods in place of 3", "I3"},
		{"a switch whose pods may only be seen a moment later", moved(ago(skew), 3, 2, 99), "", ""},
		{"a switch to fewer that are enough", moved(ago(time.Minute), 3, 2, 2), "", ""},
		{"a selector of somebody else", func(v *View) { v.Services[0].Foreign = `"anna"` }, `was not this deployment that set it but "anna"`, "I4"},
		{"an empty selector of somebody else is an outage", func(v *View) { v.Services[0].Foreign, v.Services[0].Selector = "anna", nil }, "has become empty", "I3"},
		{"a later sequence", func(v *View) { v.Fenced[0].Sequence = 8 }, "Deployment web carries revision 8, later than the revision 7 of this deployment", "I4"},
		{"a later sequence, whatever else there is", func(v *View) { v.Fenced[0].Sequence, v.Services[0].Gone = 8, true }, "carries revision 8", "I4"},
		{"an earlier sequence", func(v *View) { v.Fenced[0].Sequence = 6 }, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := calm()
			c.change(&v)
			found := Judge(v, Baseline{Revision: 7, Propagation: 10 * time.Second, DetachFirst: true})
			wantBreach(t, found, c.want, c.invariant)
			if found != nil && found.Overtaken != (c.invariant == "I4") {
				t.Errorf("overtaken %t", found.Overtaken)
			}
		})
	}
}

func TestJudgePodsThatEnd(t *testing.T) {
	t.Parallel()
	const s = time.Second
	deleted := func(after time.Duration) func(*Pod) {
		return func(p *Pod) {
			p.Serving, p.Services, p.Selected, p.Unwanted = false, nil, false, true
			p.Left, p.Deleted = ago(time.Minute), ago(time.Minute).Add(after)
		}
	}
	still := func(p *Pod) { p.Unwanted, p.Deleted = true, now }
	with := func(changes ...func(*Pod)) func(*Pod) {
		return func(p *Pod) {
			for _, change := range changes {
				change(p)
			}
		}
	}
	noHook := func(p *Pod) { p.PreStop = 0 }
	young := func(p *Pod) { p.Old = false }
	cases := []struct {
		name         string
		pod          func(*Pod)
		first, rolls string // the breach where pods are detached first, and where they are not
	}{
		{"a pod that stays", func(*Pod) {}, "", ""},
		{"long after it left", deleted(12 * s), "", ""},
		{"almost as long after it left as must be, for a watch may be slow", deleted(7600 * time.Millisecond), "", ""},
		{"too soon after it left", deleted(3 * s), "told to end 3s after it left the endpoints: it takes 10s", ""},
		{"while it is an endpoint", still, "told to end while it still gets requests: it must have been out of the endpoints for 10s", ""},
		{"a new pod without a preStop", with(young, noHook, still), "while it still gets requests", "told to end with a preStop of 0s, and it takes 10s"},
		{"a new pod without a preStop, long after it left", with(young, noHook, deleted(12*s)), "", ""},
		{"an old pod without a preStop", with(noHook, still), "while it still gets requests", ""},
		{"one that somebody else deleted", with(still, func(p *Pod) { p.Unwanted = false }), "", ""},
		{"one that was evicted", with(still, func(p *Pod) { p.Disrupted = true }), "", ""},
		{"one that had ended before", with(still, func(p *Pod) { p.Ended = true }), "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := calm()
			c.pod(&v.Pods[0])
			wantBreach(t, Judge(v, Baseline{Revision: 7, Propagation: 10 * s, DetachFirst: true}), c.first, "I2")
			wantBreach(t, Judge(v, Baseline{Revision: 7, Propagation: 10 * s}), c.rolls, "I2")
		})
	}
}

func TestOnlyOthersAreJudgedOnTheWayBack(t *testing.T) {
	t.Parallel()
	base := Baseline{Revision: 7, OthersOnly: true}
	v := calm()
	miss(&v, time.Minute, taken1)
	wantBreach(t, Judge(v, base), "", "")
	v.Services[0].Gone = true
	wantBreach(t, Judge(v, base), "", "")
	v = calm()
	v.Services[0].Foreign = "anna"
	wantBreach(t, Judge(v, base), "it was not this deployment that set it but anna", "I4")
	v = calm()
	v.Fenced[0].Sequence = 8
	wantBreach(t, Judge(v, base), "carries revision 8", "I4")
}

func TestNotices(t *testing.T) {
	t.Parallel()
	base := Baseline{Revision: 7, Propagation: 10 * time.Second}
	v := calm()
	if got := Notices(v, base); len(got) != 0 {
		t.Errorf("of a calm moment: %q", got)
	}
	miss(&v, time.Minute, crashed)
	v.Pods[1].PreStop = 2 * time.Second
	got := strings.Join(Notices(v, base), "\n")
	for _, want := range []string{"Service web misses old pods that have failed by themselves (a): the deployment goes on", "old pods have no preStop of 10s and may lose requests when they end (b)"} {
		if !strings.Contains(got, want) {
			t.Errorf("notices %q, want %q", got, want)
		}
	}
	base.DetachFirst = true
	if got := Notices(v, base); len(got) != 1 {
		t.Errorf("where pods are detached first, no preStop is missed: %q", got)
	}
}

func wantBreach(t *testing.T, got *Breach, text, invariant string) {
	t.Helper()
	switch {
	case got == nil && text == "":
	case got == nil:
		t.Errorf("no breach, want %q", text)
	case text == "":
		t.Errorf("breach %q, want none", got)
	case got.Invariant != invariant || !strings.Contains(got.Text, text):
		t.Errorf("breach %q\nwant %s %q", got, invariant, text)
	}
}
