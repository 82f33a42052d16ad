package view

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/look"
)

// bar is the time of one action on a line of 1000 parts.
type bar struct {
	Name        string
	After, Took time.Duration
	Left, Width float64
	Tone        look.Tone
}

// waterfall are the bars of all actions that ran, in the order in which they
// began.
func waterfall(e client.Execution, now time.Time) (bars []bar) {
	end := e.Ended
	if !e.Done() || end.IsZero() {
		end = now
	}
	whole := max(end.Sub(e.Started), time.Millisecond)
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Started.IsZero() {
				continue
			}
			b := bar{Name: s.Name + " / " + a.Name, After: max(a.Started.Sub(e.Started), 0), Took: a.Duration(now), Tone: look.ToneOf(string(a.Status))}
			b.Left = part(b.After, whole)
			b.Width = max(math.Min(part(b.Took, whole), 1000-b.Left), 2)
			bars = append(bars, b)
		}
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return int(a.After - b.After) })
	return bars
}

// part is a time as a part of 1000, to a tenth.
func part(d, whole time.Duration) float64 {
	return math.Round(10000*float64(d)/float64(whole)) / 10
}

// strip of traffic: the picture is 1000 wide, its bars 100 high at most.
type trafficStrip struct {
	Bars  []trafficBar
	Marks []trafficMark
	Words string // all of it in a sentence
}

type trafficBar struct {
	Left, Width, Height float64
	Lost                int
}

type trafficMark struct {
	Left float64
	At   time.Duration
	Text string
}

func traffic(v pipeline.Verdict) (s trafficStrip) {
	t := v.Timeline
	if t == nil || t.EveryMs <= 0 || len(t.Requests) == 0 {
		return s
	}
	most := max(slices.Max(t.Requests), 1)
	whole := time.Duration(int64(len(t.Requests))*t.EveryMs) * time.Millisecond
	for i, n := range t.Requests {
		b := trafficBar{Left: 1000 * float64(i) / float64(len(t.Requests)), Width: math.Max(1000/float64(len(t.Requests))-0.4, 0.6), Height: math.Round(1000*float64(n)/float64(most)) / 10}
		if i < len(t.Lost) {
			b.Lost = t.Lost[i]
		}
		s.Bars = append(s.Bars, b)
	}
	for _, m := range v.Marks {
		at := time.Duration(m.AtMs) * time.Millisecond
		s.Marks = append(s.Marks, trafficMark{Left: math.Min(part(at, whole), 999), At: at, Text: m.Text})
	}
	s.Words = fmt.Sprintf("%d requests in %s, %d lost, the longest gap between two answers %d ms", v.Requests, look.Duration(whole), v.Lost, v.LongestGapMs)
	return s
}

func lossTone(lost int) look.Tone {
	if lost > 0 {
		return look.Bad
	}
	return look.Good
}

func names(variables map[string]string) []string { return slices.Sorted(maps.Keys(variables)) }
