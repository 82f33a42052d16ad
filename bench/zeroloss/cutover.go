package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// The applications that are deployed, by how they end.
const (
	graceful = "graceful" // answers what is in flight and asks its clients to close
	exits    = "exits"    // exits at once on SIGTERM
)

// naive is the strategy of `kubectl set image` on a plain Deployment.
const naive = "naive"

// cutover is one cut-over to make, or a kind of them when Number is 0.
type cutover struct {
	App      string `json:"app"`
	Strategy string `json:"strategy"`
	Method   string `json:"method"`
	Drain    string `json:"drain,omitempty"` // policy of the drain rehearsal, empty for the default
	Abort    bool   `json:"abort,omitempty"` // it is aborted once the requests have moved
	Number   int    `json:"number"`          // from 1
}

// kind is what several cut-overs have in common.
func (c cutover) kind() cutover {
	c.Number = 0
	return c
}

// String is the kind as the table names it.
func (c cutover) String() string {
	text := fmt.Sprintf("%s by %s", c.Strategy, c.Method)
	if c.App == exits {
		text += ", exits on SIGTERM"
	}
	if c.Drain != "" {
		text += ", drain: " + c.Drain
	}
	if c.Abort {
		text += ", aborted"
	}
	return text
}

// namespace is where the application of the kind lives.
func (c cutover) namespace() string {
	name := "zeroloss-" + c.Strategy + "-" + c.Method + "-" + c.App
	if c.Drain != "" {
		name += "-" + c.Drain
	}
	if c.Abort {
		name += "-abort"
	}
	return name
}

// planned are all cut-overs of a run.
func planned(s settings) []cutover {
	var all []cutover
	add := func(n int, kind cutover) {
		for i := range n {
			kind.Number = i + 1
			all = append(all, kind)
		}
	}
	for _, app := range []string{graceful, exits} {
		add(s.naive, cutover{App: app, Strategy: naive, Method: "kubectl"})
	}
	for _, strategy := range s.strategies {
		for _, method := range s.methods {
			add(s.cutovers, cutover{App: graceful, Strategy: strategy, Method: method})
		}
	}
	for _, strategy := range s.strategies {
		if strategy == "rolling" {
			continue // its endpoint leaves the data plane with the pod: there is nothing to promise
		}
		for _, drain := range []string{"warn", "proxy"} {
			add(s.exits, cutover{App: exits, Strategy: strategy, Method: s.methods[0], Drain: drain})
		}
	}
	if slices.Contains(s.strategies, "blue-green") {
		for _, method := range s.methods {
			add(s.rollbacks, cutover{App: graceful, Strategy: "blue-green", Method: method, Abort: true})
		}
	}
	return all
}

// remaining are the cut-overs of a run that have no result yet that counts.
func remaining(s settings, results []result) []cutover {
	done := map[cutover]bool{}
	for _, r := range measured(results) {
		done[r.cutover] = true
	}
	return slices.DeleteFunc(planned(s), func(c cutover) bool { return done[c] })
}

// blocks cuts the cut-overs into blocks of one kind, in an order in which the
// kinds take turns: what else the machine does then meets all of them.
func blocks(todo []cutover, size int, rng *rand.Rand) [][]cutover {
	byKind := map[cutover][]cutover{}
	var kinds []cutover
	for _, c := range todo {
		if byKind[c.kind()] == nil {
			kinds = append(kinds, c.kind())
		}
		byKind[c.kind()] = append(byKind[c.kind()], c)
	}
	var ordered [][]cutover
	for len(kinds) > 0 {
		rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		for _, kind := range kinds {
			n := min(max(size, 1), len(byKind[kind]))
			ordered = append(ordered, byKind[kind][:n])
			byKind[kind] = byKind[kind][n:]
		}
		kinds = slices.DeleteFunc(kinds, func(kind cutover) bool { return len(byKind[kind]) == 0 })
	}
	return ordered
}
