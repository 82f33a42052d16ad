// Engine measures the pipeline engine alone: how long an execution of stages
// that do nothing takes, how many of them are carried out in a second, and how
// long it takes to say where one of many pipelines stands. It is a program of
// its own and stands outside of the flow.
//
//	go run ./bench/engine -out docs/benchmarks/engine.md
//
// Beside each figure stands what the disk needs for bare commits of one row,
// made in the same run on the same file system: an engine that loses nothing
// cannot do without commits, and on another disk both figures are others.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

type settings struct {
	stages     int
	single     int // executions one after the other
	together   int // executions that are under way at once
	total      int // executions for the rate
	pipelines  int
	executions int // of each pipeline
	looks      int
	out        string
}

func main() {
	var s settings
	flag.IntVar(&s.stages, "stages", 5, "stages of an execution, of one action each")
	flag.IntVar(&s.single, "single", 200, "executions one after the other")
	flag.IntVar(&s.together, "together", 200, "executions under way at once")
	flag.IntVar(&s.total, "total", 2000, "executions for the rate")
	flag.IntVar(&s.pipelines, "pipelines", 1000, "pipelines for the listing")
	flag.IntVar(&s.executions, "executions", 100, "executions of each of them")
	flag.IntVar(&s.looks, "looks", 2000, "how often a state is asked for")
	flag.StringVar(&s.out, "out", "", "file that the result is written to, as Markdown")
	program.Main("engine", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{settings: s, dir: dir}
	if err := b.open(ctx); err != nil {
		return err
	}
	defer func() { _ = b.engine.Stop(time.Minute) }()
	var result result
	if result.commits, err = b.commits(ctx, s.single); err != nil {
		return err
	}
	if result.single, err = b.oneByOne(ctx); err != nil {
		return err
	}
	if result.rate, err = b.many(ctx); err != nil {
		return err
	}
	if result.looks, err = b.listing(ctx); err != nil {
		return err
	}
	return result.report(s)
}

// bench is an engine whose actions do nothing.
type bench struct {
	settings
	dir    string
	db     *store.DB
	engine *engine.Engine
	last   sync.Map // a channel by execution, closed when the last action of it runs
}

// lastOf is the channel of an execution.
func (b *bench) lastOf(id string) chan struct{} {
	channel, _ := b.last.LoadOrStore(id, make(chan struct{}))
	return channel.(chan struct{})
}

// Run is the action of all stages. It does nothing.
func (b *bench) Run(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
	if job.Stage == fmt.Sprintf("Stage%d", b.stages) {
		close(b.lastOf(job.Execution))
	}
	return pipeline.Result{Outcome: pipeline.Succeeded}, nil
}

type noLog struct{ io.Writer }

func (noLog) Close() error { return nil }

func (b *bench) open(ctx context.Context) (err error) {
	if b.db, err = store.Open(ctx, b.dir); err != nil {
		return err
	}
	b.engine, err = engine.New(ctx, engine.Config{
		Store: b.db, Dir: b.dir, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Action:  func(pipeline.ActionType) (engine.Action, bool) { return b, true },
		OpenLog: func(string) (io.WriteCloser, error) { return noLog{io.Discard}, nil },
	})
	if err != nil {
		return err
	}
	return b.engine.Start(ctx)
}

func (b *bench) definition(name string) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: name, Mode: pipeline.ModeParallel}
	for i := range b.stages {
		p.Stages = append(p.Stages, pipeline.Stage{Name: fmt.Sprintf("Stage%d", i+1), Actions: []pipeline.Action{{Name: fmt.Sprintf("action%d", i+1), RunOrder: 1}}})
	}
	return p
}

// define makes a pipeline known, outside of what is measured.
func (b *bench) define(ctx context.Context, name string) error {
	return b.db.Update(ctx, func(q store.Querier) error {
		return store.PutPipeline(ctx, q, b.definition(name), name, time.Now())
	})
}

// execute carries an execution out and returns when its end can be read.
func (b *bench) execute(ctx context.Context, name string) (time.Duration, error) {
	begin := time.Now()
	x, err := b.engine.StartExecution(ctx, engine.StartRequest{Pipeline: name, Revision: pipeline.Revision{Commit: "0123456789abcdef"}})
	if err != nil {
		return 0, err
	}
	// Looking at every change on the way would measure the looks.
	select {
	case <-b.lastOf(x.ID):
		b.last.Delete(x.ID)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	changed, stop := b.engine.Watch(x.ID)
	defer stop()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		now, err := b.db.Execution(ctx, x.ID)
		if err != nil {
			return 0, err
		}
		if now.Done() && now.Status != pipeline.ExecutionSucceeded {
			return 0, fmt.Errorf("%s is %s", x.ID, now.Status)
		}
		if now.Done() {
			return time.Since(begin), nil
		}
	}
}

func (b *bench) oneByOne(ctx context.Context) ([]time.Duration, error) {
	if err := b.define(ctx, "single"); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range b.single {
		one, err := b.execute(ctx, "single")
		if err != nil {
			return nil, err
		}
		took = append(took, one)
	}
	slices.Sort(took)
	return took, nil
}

// many keeps so many executions under way until all have ended, and returns how
// many ended in a second. They are of several pipelines, for 50 is the most
// that one may have.
func (b *bench) many(ctx context.Context) (float64, error) {
	const each = 25
	var names []string
	for i := range max(1, b.together/each) {
		names = append(names, fmt.Sprintf("many%d", i))
		if err := b.define(ctx, names[i]); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	left := make(chan int)
	var working sync.WaitGroup
	begin := time.Now()
	for i := range b.together {
		working.Go(func() {
			for range left {
				if _, err := b.execute(ctx, names[i%len(names)]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range b.total {
		select {
		case left <- i:
		case <-ctx.Done():
		}
	}
	close(left)
	working.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	return float64(b.total) / time.Since(begin).Seconds(), nil
}

// commits are how long bare commits take: one row, as durable as the engine's.
func (b *bench) commits(ctx context.Context, n int) ([]time.Duration, error) {
	dir := filepath.Join(b.dir, "commits")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	var took []time.Duration
	for i := range n {
		begin := time.Now()
		err := db.Update(ctx, func(q store.Querier) error {
			return store.SetHead(ctx, q, store.Head{Repository: "bench", Branch: "main", Commit: fmt.Sprint(i)})
		})
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took, nil
}

// listing fills the database, and asks where one of the pipelines stands.
func (b *bench) listing(ctx context.Context) ([]time.Duration, error) {
	for i := range b.pipelines {
		if err := b.fill(ctx, fmt.Sprintf("listed%d", i)); err != nil {
			return nil, err
		}
	}
	rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // repeatable on purpose
	var took []time.Duration
	for range b.looks {
		begin := time.Now()
		definition, state, err := b.db.PipelineState(ctx, fmt.Sprintf("listed%d", rng.IntN(b.pipelines)))
		if err != nil {
			return nil, err
		}
		if len(definition.Pipeline.Stages) != b.stages || len(state.Latest) != b.stages || len(state.Executions) != 1 {
			return nil, fmt.Errorf("the state lacks something: %+v", state)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took, nil
}

// fill writes a pipeline with its executions, as they are when they have ended.
func (b *bench) fill(ctx context.Context, name string) error {
	p := b.definition(name)
	return b.db.Update(ctx, func(q store.Querier) error {
		if err := store.PutPipeline(ctx, q, p, name, time.Now()); err != nil {
			return err
		}
		var last string
		for range b.executions {
			number, err := store.NextNumber(ctx, q, name)
			if err != nil {
				return err
			}
			last = fmt.Sprintf("%s-%d", name, number)
			e := pipeline.Execution{ID: last, Pipeline: name, Number: number, Status: pipeline.ExecutionSucceeded, Definition: p, Started: time.Now(), Ended: time.Now()}
			for _, s := range p.Stages {
				e.Stages = append(e.Stages, pipeline.StageState{Name: s.Name, Status: pipeline.StatusSucceeded, Attempt: 1, Segment: 1, Entered: 1, Actions: []pipeline.ActionState{{
					Name: s.Actions[0].Name, Status: pipeline.StatusSucceeded, Attempt: 1, Started: time.Now(), Ended: time.Now(), Result: &pipeline.Result{Outcome: pipeline.Succeeded},
				}}})
			}
			if err := store.SaveExecution(ctx, q, e); err != nil {
				return err
			}
		}
		for _, s := range p.Stages {
			if err := store.SetLatest(ctx, q, name, s.Name, last); err != nil {
				return err
			}
		}
		return nil
	})
}
