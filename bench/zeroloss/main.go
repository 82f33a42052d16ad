// Zeroloss measures what cut-overs lose, with as many requests as the machine
// can send: naive ones by `kubectl set image`, and Towline's by every strategy
// and method, in one run. It is a program of its own and stands outside of the
// flow.
//
//	go run ./bench/zeroloss -cluster zeroloss -nodes 3
//
// Each cut-over's result is written down at once. The same command goes on
// where it was stopped, so that a run of hours can be made in slices
// (-slice 9m), and the report is written anew at the end of each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	cutovers   int
	naive      int
	exits      int
	rollbacks  int
	block      int
	strategies []string
	methods    []string
	rate       int
	slowest    time.Duration
	seed       uint64
	slice      time.Duration
	replicas   int

	cluster string
	nodes   int
	down    bool
	report  bool
	listen  string
	towline string

	state string
	out   string
}

func main() {
	var s settings
	var strategies, methods string
	flag.IntVar(&s.cutovers, "cutovers", 20, "cut-overs for each strategy and method")
	flag.IntVar(&s.naive, "naive", 5, "cut-overs of a plain Deployment by kubectl, for each application")
	flag.IntVar(&s.exits, "exits", 5, "cut-overs of the application that exits on SIGTERM, for each policy")
	flag.IntVar(&s.rollbacks, "rollbacks", 5, "blue/green cut-overs that are aborted once the requests have moved, for each method")
	flag.IntVar(&s.block, "block", 5, "cut-overs of one kind in a row")
	flag.StringVar(&strategies, "strategies", "rolling,immutable,blue-green", "strategies, with commas between them")
	flag.StringVar(&methods, "methods", "api,kubectl", "methods, with commas between them")
	flag.IntVar(&s.rate, "rate", 0, "requests per second; 0 finds the highest steady one")
	flag.DurationVar(&s.slowest, "slowest", 100*time.Millisecond, "99th percentile of latency up to which a rate counts as steady")
	flag.Uint64Var(&s.seed, "seed", 1, "what the order of the cut-overs is drawn from")
	flag.DurationVar(&s.slice, "slice", 0, "begin no cut-over after this time; 0 goes on to the end")
	flag.IntVar(&s.replicas, "replicas", 3, "pods of the application")
	flag.StringVar(&s.cluster, "cluster", "", "name of the local cluster; default the one of $KUBECONFIG")
	flag.IntVar(&s.nodes, "nodes", 0, "bring the local cluster up with so many nodes first; 0 takes it as it is")
	flag.BoolVar(&s.down, "down", false, "take the local cluster down at the end")
	flag.StringVar(&s.listen, "registry", "5055", "port of the registry that the nodes pull from")
	flag.StringVar(&s.towline, "towline", "bin/towline", "towline program, which is also the image of the draining proxy")
	flag.StringVar(&s.state, "state", filepath.Join("bin", "zeroloss.jsonl"), "file of the results so far; remove it to begin anew")
	flag.BoolVar(&s.report, "report", false, "make no cut-over, only the report on those so far")
	flag.StringVar(&s.out, "out", filepath.Join("docs", "benchmarks"), "directory of the report")
	flag.Parse()
	s.strategies, s.methods = strings.Split(strategies, ","), strings.Split(methods, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench zeroloss:", err)
		os.Exit(1)
	}
}

// run makes the cut-overs that are not made yet, and the report.
func run(ctx context.Context, s settings) (err error) {
	results, err := openResults(s.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, results.close()) }()
	todo := remaining(s, results.all)
	if len(todo) > 0 && !s.report {
		if err := carryOut(ctx, s, todo, results); err != nil {
			return err
		}
	}
	left := len(remaining(s, results.all))
	if err := writeReport(s, results, left); err != nil {
		return err
	}
	fmt.Print(tableOf(results.all))
	if left > 0 {
		fmt.Printf("%d cut-overs are left: the same command goes on with them\n", left)
		return nil
	}
	return judge(results.all)
}

// carryOut makes cut-overs until none is left, the slice is over, or somebody
// stops the run, which is no error.
func carryOut(ctx context.Context, s settings, todo []cutover, results *results) error {
	begin := time.Now()
	stage, err := setUp(ctx, s)
	if err != nil {
		return err
	}
	defer stage.close()
	if stage.rate, err = steadyRate(ctx, s, stage, results); err != nil {
		return ended(ctx, err)
	}
	rng := rand.New(rand.NewPCG(s.seed, uint64(len(results.all)))) //nolint:gosec // repeatable on purpose
	for range passes {
		for _, block := range blocks(todo, s.block, rng) {
			if err := stage.makeBlock(ctx, block, results, begin); err != nil {
				return ended(ctx, err)
			}
			if s.slice > 0 && time.Since(begin) > s.slice {
				return nil
			}
		}
		if todo = remaining(s, results.all); len(todo) == 0 {
			return nil
		}
	}
	return nil
}

// passes is how often cut-overs that were set aside are made again.
const passes = 5

// ended is nil when the run was stopped from outside: that is no failure.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// machine says on what the run was made.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s/%s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH)
}
