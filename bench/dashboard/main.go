// Dashboard measures the pages for browsers: how long the first one takes with
// many pipelines and executions and how much of it goes over the wire, what many
// open pages cost a server on which nothing happens, and how soon a line is seen
// that a build prints. It is a program of its own and stands outside of the
// flow: the server is another process.
//
//	go run ./bench/dashboard -program bin/towline -out docs/benchmarks/dashboard.md
package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	"github.com/towline/towline/bench/program"
)

type settings struct {
	program    string
	pipelines  int
	executions int // of each pipeline
	looks      int
	pages      int // open at once
	idle       time.Duration
	lines      int
	out        string
}

func main() {
	var s settings
	flag.StringVar(&s.program, "program", "bin/towline", "the program under test")
	flag.IntVar(&s.pipelines, "pipelines", 1000, "pipelines")
	flag.IntVar(&s.executions, "executions", 100, "executions of each of them")
	flag.IntVar(&s.looks, "looks", 200, "how often the first page is asked for")
	flag.IntVar(&s.pages, "pages", 100, "pages open at once")
	flag.DurationVar(&s.idle, "idle", 20*time.Second, "how long they are open")
	flag.IntVar(&s.lines, "lines", 50, "lines of a build that are waited for")
	flag.StringVar(&s.out, "out", "", "file that the result is written to, as Markdown")
	program.Main("dashboard", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Builds run as users of their own, who pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := fill(ctx, data, s); err != nil {
		return err
	}
	server, err := program.Serve(ctx, s.program, data)
	if err != nil {
		return err
	}
	defer server.Stop()
	v, err := signIn(ctx, server)
	if err != nil {
		return err
	}
	var r result
	if err := v.firstPage(ctx, s.looks, &r); err != nil {
		return err
	}
	if r.idle, err = v.open(ctx, server, s.pages, s.idle); err != nil {
		return err
	}
	if r.seen, err = lines(ctx, server.API, s.lines); err != nil {
		return err
	}
	return r.report(s)
}
