package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/bench/program"
)

// report prints the medians and their ratios, and writes them down. The ways
// are kubectl, towline and floor.
func report(s settings, load string, ways []*way) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Applying %d objects\n\n"+
		"%s, %d cores, median of %d rounds in one run (`make bench-apply`): half of the objects are ConfigMaps, a quarter Services, a quarter Deployments at 0 replicas. "+
		"The machine's load average before the first round was %s; on a busy one the seconds say little, and the processor seconds more.\n\n"+
		"- kubectl: `kubectl apply --server-side` of the files, one object after the other.\n"+
		"- towline: `towline deploy --no-verify` of the same files, with a dry-run of every new or changed object before anything is written, the journal and the lease.\n"+
		"- floor: one bare server-side apply for each object, many at once, with nothing around them. Nobody who sends server-side applies is faster on this machine.\n\n"+
		"Processor seconds are those of all cores together while the program ran; the whole control plane runs on this machine too.\n",
		s.objects, time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), s.rounds, load)
	table(&text, "unchanged", ways, func(w *way) []sample { return w.unchanged })
	table(&text, "new", ways, func(w *way) []sample { return w.fresh })
	fresh := func(w *way) float64 { return median(seconds(w.fresh)) }
	fmt.Printf("ratio %.2f\n", fresh(ways[0])/fresh(ways[1]))
	return program.Page(s.out, text.String())
}

// table prints and writes how the ways did under one condition.
func table(text *strings.Builder, condition string, ways []*way, of func(*way) []sample) {
	kubectl := median(seconds(of(ways[0])))
	fmt.Fprintf(text, "\n## %s\n\n| | seconds | times as fast as kubectl | processor: itself", strings.ToUpper(condition[:1])+condition[1:])
	processes := names(of(ways[0]))
	for _, name := range processes {
		text.WriteString(" | " + name)
	}
	text.WriteString(" | all |\n|---|--:|--:|--:" + strings.Repeat("|--:", len(processes)+1) + "|\n")
	for _, w := range ways {
		samples := of(w)
		took := median(seconds(samples))
		all := median(each(samples, func(s sample) float64 { return s.client }))
		fmt.Printf("%-9s  %-8s %6.2f s, %5.2f times as fast as kubectl, %5.2f s of processor time\n", condition, w.name, took, kubectl/took, all)
		fmt.Fprintf(text, "| %s | %.2f | %.2f | %.2f", w.name, took, kubectl/took, all)
		for _, name := range processes {
			used := median(each(samples, func(s sample) float64 { return s.server[name] }))
			all += used
			fmt.Fprintf(text, " | %.2f", used)
		}
		fmt.Fprintf(text, " | %.2f |\n", all)
	}
}

// names are the processes of the control plane that were measured.
func names(samples []sample) []string {
	var all []string
	for name := range samples[0].server {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func seconds(samples []sample) []float64 {
	return each(samples, func(s sample) float64 { return s.seconds })
}

func each(samples []sample, value func(sample) float64) []float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	return values
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
