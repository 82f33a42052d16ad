// Package look is the dashboard's design: its colours, its marks and the parts
// that pages are put together from. Its noun is the part, in all of its states.
// What a part shows it is given in plain words and numbers: it knows neither the
// API nor what a pipeline is.
package look

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tone is how good or bad something is. Colour never says it alone: each tone
// has a mark of its own, and words beside it.
type Tone string

// The tones.
const (
	Good Tone = "good"
	Bad  Tone = "bad"
	Busy Tone = "busy" // under way
	Wait Tone = "wait" // for somebody or something
	Idle Tone = "idle" // not begun, skipped, given up
)

// ToneOf is the tone of a status, in the words of pipelines, builds,
// deployments and Kubernetes. A status that is not known is Idle.
func ToneOf(status string) Tone {
	switch strings.ToLower(strings.ReplaceAll(status, "_", "")) {
	case "succeeded", "healthy", "running", "ready", "passed", "active", "approved", "ok", "complete", "delivered", "overridden":
		return Good
	case "failed", "faulted", "fault", "timedout", "degraded", "crashloopbackoff", "error", "imagepullbackoff", "errimagepull", "oomkilled", "dead", "rejected", "missing", "reverted":
		return Bad
	case "inprogress", "progressing", "stopping", "building", "deploying":
		return Busy
	case "waiting", "queued", "suspended", "unknown", "containercreating", "podinitializing", "terminating":
		return Wait
	}
	return Idle
}

// Words are a status as people read it: InProgress is "In progress",
// TIMED_OUT "Timed out".
func Words(status string) string {
	var b strings.Builder
	if status == strings.ToUpper(status) {
		status = strings.ToLower(strings.ReplaceAll(status, "_", " "))
	}
	for i, r := range status {
		switch {
		case i == 0:
			b.WriteString(strings.ToUpper(string(r)))
		case r >= 'A' && r <= 'Z':
			b.WriteString(" " + strings.ToLower(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Duration is a time in two units at most: "850 ms", "4.2 s", "3 min 20 s",
// "2 h 5 min", "3 d 4 h". Less than a millisecond is "0 ms".
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 0))
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// Ago is how long before now something was: "now", "40 s ago", "5 min ago",
// "3 h ago", "12 d ago", and the date when it was more than 60 days before. The
// script of the pages says the same while time goes on.
func Ago(at, now time.Time) string {
	d := now.Sub(at)
	switch {
	case d < 5*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	case d < 60*24*time.Hour:
		return fmt.Sprintf("%d d ago", d/(24*time.Hour))
	}
	return at.UTC().Format("2 Jan 2006")
}

// Number is a count with thin gaps between thousands: "48 211".
func Number(n int) string {
	text := strconv.Itoa(n)
	var b strings.Builder
	for i, r := range text {
		if i > 0 && (len(text)-i)%3 == 0 && text[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Bytes is a size: "512 B", "1.2 kB", "3.4 MB".
func Bytes(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}

// Short is the beginning of a commit or a digest.
func Short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

// FirstLine is the first line of a text, cut to a length in characters.
func FirstLine(text string, most int) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return line
}
