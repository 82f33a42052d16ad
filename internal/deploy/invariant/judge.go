package invariant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
)

// How long what looks like a breach may last. Each kind of object comes by a
// watch of its own, so what happened at one moment may be seen at several.
const (
	skew = time.Second
	// grace is how long a new pod that has failed by itself may be missed.
	grace = 2 * time.Second
	// longestFlap is how long at most one may be missed that works and whose
	// readiness probe fails: one bad answer on a machine without time is no
	// failed revision, but the next answer comes a whole period later.
	longestFlap = 30 * time.Second
)

// Breach is an invariant that does not hold.
type Breach struct {
	Invariant string // I1 to I4
	Text      string // which object, the numbers, and what it means
	// Overtaken says that somebody else owns the objects now: the deployment
	// must stop, and must not go back either.
	Overtaken bool
}

// Error is the text with the invariant's name.
func (b *Breach) Error() string { return b.Text + " (" + b.Invariant + ")" }

func breach(invariant, format string, args ...any) *Breach {
	return &Breach{Invariant: invariant, Text: fmt.Sprintf(format, args...)}
}

// Judge is pure: it returns the invariant that does not hold at a moment, nil
// when all do. It asks in this order: has a newer deployment taken over, for
// then everything else is its doing; is a Service without pods; has somebody
// else moved it; are there enough endpoints; do pods end in peace.
func Judge(v View, b Baseline) *Breach {
	for _, f := range v.Fenced {
		if f.Sequence > b.Revision {
			return overtaken("%s carries revision %d, later than the revision %d of this deployment: a newer deployment owns it now",
				f.Ref, f.Sequence, b.Revision)
		}
	}
	checks := []func(View, Service) *Breach{selectsNothing, movedByOthers, switchedToFewer, tooFewReady}
	if b.OthersOnly {
		checks = []func(View, Service) *Breach{movedByOthers}
	}
	for _, check := range checks {
		for _, s := range v.Services {
			if found := check(v, s); found != nil {
				return found
			}
		}
	}
	for _, p := range v.Pods {
		if found := endedTooSoon(p, b); found != nil && !b.OthersOnly {
			return found
		}
	}
	return nil
}

func overtaken(format string, args ...any) *Breach {
	b := breach("I4", format, args...)
	b.Overtaken = true
	return b
}

// selectsNothing is I3: without a selector, or without the Service, nobody
// gets requests.
func selectsNothing(_ View, s Service) *Breach {
	switch {
	case s.Gone:
		return breach("I3", "Service %s has been deleted: no request reaches its pods", s.Name)
	case len(s.Selector) == 0:
		return breach("I3", "the selector of Service %s has become empty: it has no pods to send requests to", s.Name)
	}
	return nil
}

// movedByOthers is I4 for selectors.
func movedByOthers(_ View, s Service) *Breach {
	if s.Foreign == "" {
		return nil
	}
	return overtaken("the selector of Service %s is %s, and it was not this deployment that set it but %s: the Service is left as it is",
		s.Name, plan.SelectorText(s.Selector), s.Foreign)
}

// switchedToFewer is I3 for a selector that has changed: it must mean as many
// ready pods as it takes the requests from, or as many as are enough.
func switchedToFewer(v View, s Service) *Breach {
	if s.Switch == nil || v.Now.Sub(s.Switch.At) <= skew {
		return nil
	}
	if need := min(s.Switch.Replaced, s.Switch.Enough); s.Switch.Ready < need {
		return breach("I3", "the selector of Service %s went from %s to %s, which means %d ready pods in place of %d",
			s.Name, plan.SelectorText(s.Switch.From), plan.SelectorText(s.Switch.To), s.Switch.Ready, s.Switch.Replaced)
	}
	return nil
}

// tooFewReady is I1. Whose doing it is that endpoints are missing decides:
//
//   - This deployment's: pods were taken away, by a deletion that their
//     workload wanted or by a selector, before others stood in for them. That
//     is what it must never do, so it is a breach once it is no mere
//     difference between two watches.
//   - New pods fail by themselves: the new revision does not hold. That is a
//     breach when it lasts; one bad probe is not. While other pods serve, one
//     that works is given the time in which its probe may find it ready again.
//   - Old pods fail by themselves: a crash, a node that is lost, an eviction.
//     To go back would bring nothing but the same old pods, and often the new
//     ones are the cure; the deployment goes on and says so. Only when several
//     old pods fail and none is left, it is more than chance: what was
//     deployed (a migration, a config, the load of twice as many pods) has
//     most likely brought them down, and going back may bring them up.
//
// What the users lose meanwhile is not judged here but measured by the prober,
// whose budget ends a deployment whatever the cause.
func tooFewReady(v View, s Service) *Breach {
	if s.Short.IsZero() {
		return nil
	}
	missing, lasted := s.Floor-s.Ready, v.Now.Sub(s.Short)
	lost := lossesOf(v, s)
	old, fresh := len(lost.old), len(lost.fresh)
	numbers := fmt.Sprintf("Service %s has %d ready endpoints, and had %d", s.Name, s.Ready, s.Floor)
	switch {
	case missing > old+fresh && lasted > skew:
		return breach("I1", "%s: this deployment has taken pods away before others stood in for them%s", numbers, named(lost.ours))
	case missing > old && missing <= old+fresh && lasted > patience(s, lost):
		return breach("I1", "%s: new pods do not stay ready%s", numbers, named(lost.fresh))
	case missing <= old && s.Ready == 0 && old > 1 && lasted > grace:
		return breach("I1", "%s: all old pods have failed since this deployment began%s", numbers, named(lost.old))
	}
	return nil
}

// patience is how long new pods may be missed that fail by themselves.
func patience(s Service, lost losses) time.Duration {
	if s.Ready == 0 {
		return grace
	}
	return max(grace, lost.flap)
}

// losses are the pods that a Service misses, by whose doing it is.
type losses struct {
	ours, fresh, old []string
	flap             time.Duration // the shortest of the new ones
}

func lossesOf(v View, s Service) losses {
	var l losses
	for _, p := range v.Pods {
		if p.Serving || !slices.Contains(p.Services, s.Name) {
			continue
		}
		healthy := p.Ready && p.Deleted.IsZero() && !p.Ended
		switch {
		case healthy, !p.Selected && !p.Disrupted && !p.Ended, taken(p):
			l.ours = append(l.ours, p.Name)
		case p.Old:
			l.old = append(l.old, p.Name)
		default:
			if len(l.fresh) == 0 || p.Flap < l.flap {
				l.flap = p.Flap
			}
			l.fresh = append(l.fresh, p.Name)
		}
	}
	return l
}

// taken tells whether a pod is deleted because its workload wants it no more.
func taken(p Pod) bool { return !p.Deleted.IsZero() && p.Unwanted && !p.Disrupted && !p.Ended }

// endedTooSoon is I2. Where pods are detached first, one must have been out of
// all endpoints for the time of propagation before its deletion begins.
// Elsewhere it must work on for that long after: a preStop that waits. Old
// pods of a rolling update are as they are: they cannot be given a preStop
// without being replaced; Notices names them.
func endedTooSoon(p Pod, b Baseline) *Breach {
	if !taken(p) {
		return nil
	}
	out := time.Duration(0)
	if !p.Left.IsZero() && p.Left.Before(p.Deleted) {
		out = p.Deleted.Sub(p.Left)
	}
	need := b.Propagation - slack(b.Propagation)
	switch {
	case out >= need, !b.DetachFirst && (p.Old || p.PreStop >= b.Propagation):
		return nil
	case !b.DetachFirst:
		return breach("I2", "pod %s is told to end with a preStop of %s, and it takes %s until nobody sends it requests any more",
			p.Name, p.PreStop, b.Propagation)
	case out == 0:
		return breach("I2", "pod %s is told to end while it still gets requests: it must have been out of the endpoints for %s", p.Name, b.Propagation)
	}
	return breach("I2", "pod %s is told to end %s after it left the endpoints: it takes %s until nobody sends it requests any more",
		p.Name, out.Round(100*time.Millisecond), b.Propagation)
}

// slack is by how much the time out of the endpoints may look shorter than it
// was: the watch of the endpoints may have been the slower one.
func slack(propagation time.Duration) time.Duration { return max(skew, propagation/4) }

// Notices is pure as well: what is worth a line in the log and no breach.
func Notices(v View, b Baseline) []string {
	var lines []string
	for _, s := range v.Scaled {
		lines = append(lines, fmt.Sprintf("%s was scaled from %d to %d by %s, not by this deployment: fewer ready endpoints are enough from now on", s.Ref, s.From, s.To, s.By))
	}
	for _, s := range v.Services {
		if s.Short.IsZero() || v.Now.Sub(s.Short) <= skew {
			continue
		}
		if lost := lossesOf(v, s); len(lost.old) > 0 {
			lines = append(lines, fmt.Sprintf("Service %s misses old pods that have failed by themselves%s: the deployment goes on", s.Name, named(lost.old)))
		}
	}
	var unready []string
	for _, p := range v.Pods {
		if p.Old && !b.DetachFirst && p.PreStop < b.Propagation && p.Deleted.IsZero() {
			unready = append(unready, p.Name)
		}
	}
	if len(unready) > 0 {
		lines = append(lines, fmt.Sprintf("old pods have no preStop of %s and may lose requests when they end%s; strategy immutable would detach them first",
			b.Propagation, named(unready)))
	}
	return lines
}

// named is the end of a message: which pods, in few words.
func named(pods []string) string {
	const most = 3
	if len(pods) == 0 {
		return ""
	}
	slices.Sort(pods)
	text := strings.Join(pods[:min(len(pods), most)], ", ")
	if more := len(pods) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return " (" + text + ")"
}
