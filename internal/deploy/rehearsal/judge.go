package rehearsal

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// killed is the exit code of a container that was killed.
const killed = 137

// quietTime is how long a connection must have had no request before it may be
// closed without a word to its client.
const quietTime = 500 * time.Millisecond

// slack is what a pod needs beyond the time that was measured.
const slack = 5 * time.Second

// Judge says what an observation means for the clients of a release.
func Judge(o Observation) pipeline.Drain {
	d := pipeline.Drain{
		InFlight: o.InFlight, Idle: len(o.Idle), Connections: len(o.Busy) + len(o.Idle), ExitCode: o.ExitCode,
		EndSeconds: round(o.End), PreStop: o.PreStop.Seconds(), Grace: o.Grace.Seconds(), Proxied: o.Proxied,
	}
	var settled time.Duration
	var lastTold time.Duration
	for _, f := range o.Busy {
		settled = max(settled, f.Last)
		switch {
		case f.Cut > 0:
			d.Cut++
		case f.Told > 0:
			d.Told++
			lastTold = max(lastTold, f.Told)
		}
	}
	for _, f := range o.Idle {
		// Where others were being told at that time, this one might have had a
		// request on its way as well.
		if f.Shut > 0 && (f.Shut < lastTold+quietTime || d.Cut > 0) {
			d.IdleAtOnce++
		}
	}
	d.SettleSeconds = round(settled)
	d.Killed = o.ExitCode == killed && o.End >= o.Own-time.Second
	d.Clean = d.Cut == 0 && (d.IdleAtOnce == 0 || !o.KeepAlive)
	d.Sentence = sentence(o, d)
	d.Advice = advice(o, d)
	return d
}

// sentence says it plainly.
func sentence(o Observation, d pipeline.Drain) string {
	const mend = "handle SIGTERM, or set drain: proxy"
	always := "clients with keep-alive connections will lose requests in every release"
	if !o.KeepAlive {
		always = "requests in flight will be lost in every release"
	}
	flight := plural(d.InFlight, "request") + " in flight"
	switch {
	case o.Proxied && !d.Clean:
		return fmt.Sprintf("%s loses %s at its end though the draining proxy stands before it: %s", o.App, plural(d.Cut, "request"), "a request may take longer than the proxy waits")
	case o.Proxied:
		return fmt.Sprintf("the draining proxy answers what is in flight, closes idle connections, and lets %s end after %s: nothing is lost", o.App, spell(o.End))
	case d.Killed && d.Cut > 0:
		return fmt.Sprintf("%s goes on after SIGTERM until it is killed after %s, with %s: %s; %s", o.App, spell(o.End), flight, always, mend)
	case d.Killed:
		return fmt.Sprintf("%s answers what is in flight but does not end: it is killed after %s, which each pod takes in every release", o.App, spell(o.End))
	case d.Cut > 0 && d.Told == 0:
		return fmt.Sprintf("%s exits %s after SIGTERM with %s: %s; %s", o.App, spell(firstCut(o)), flight, always, mend)
	case !d.Clean:
		lost := "a request that is just on its way is lost now and then"
		if d.Cut > 0 {
			lost = fmt.Sprintf("%s on the way got no answer", plural(d.Cut, "request"))
		}
		return fmt.Sprintf(`%s answers what it is working on, but closes keep-alive connections without a word to their clients: %s; `+
			`answer with "Connection: close" until they have left, for some seconds at most, before closing, or set drain: proxy`, o.App, lost)
	case !o.KeepAlive:
		return fmt.Sprintf("%s answers what is in flight and ends %s after SIGTERM; it keeps no connections open: nothing is lost", o.App, spell(o.End))
	}
	return fmt.Sprintf("%s answers what is in flight, closes its idle connections and ends %s after SIGTERM: nothing is lost", o.App, spell(o.End))
}

func firstCut(o Observation) time.Duration {
	var cuts []time.Duration
	for _, f := range o.Busy {
		if f.Cut > 0 {
			cuts = append(cuts, f.Cut)
		}
	}
	return slices.Min(cuts)
}

// advice is about the times in the template.
func advice(o Observation, d pipeline.Drain) string {
	var parts []string
	if o.PreStop < o.Detach && !o.Proxied {
		parts = append(parts, fmt.Sprintf("preStop lets a pod serve for %s after it has left the Service, and it may take %s until every node knows: sleep that long", spell(o.PreStop), spell(o.Detach)))
	}
	needed := max(o.PreStop, o.Detach) + o.End + slack
	seconds := time.Duration(math.Ceil(needed.Seconds())) * time.Second
	switch {
	case d.Killed:
		parts = append(parts, "a longer terminationGracePeriodSeconds helps only if it ends by itself at all")
	case seconds > o.Grace:
		parts = append(parts, fmt.Sprintf("terminationGracePeriodSeconds is %d: %s of preStop, %s to end and some room need %d",
			int(o.Grace.Seconds()), spell(max(o.PreStop, o.Detach)), spell(o.End), int(seconds.Seconds())))
	}
	return strings.Join(parts, "; ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// spell is a duration as people say it: "3 ms", "0.4 s", "12 s".
func spell(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

func round(d time.Duration) float64 { return cmp.Or(math.Round(d.Seconds()*1000)/1000, 0) }
