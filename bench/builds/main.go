// Builds measures what a server adds to the builds of projects: how long one
// takes that does nothing, and whether many that wait for few processors all
// have their turn, in their order, and with how much memory. It is a program of
// its own and stands outside of the flow: the server is another process.
//
//	go run ./bench/builds -program bin/towline -out docs/benchmarks/builds.md
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/client"
)

type settings struct {
	program string
	single  int // builds one after the other
	queued  int // builds asked for at once
	out     string
}

func main() {
	var s settings
	flag.StringVar(&s.program, "program", "bin/towline", "the program under test")
	flag.IntVar(&s.single, "single", 50, "builds one after the other")
	flag.IntVar(&s.queued, "queued", 50, "builds asked for at once")
	flag.StringVar(&s.out, "out", "", "file that the result is written to, as Markdown")
	program.Main("builds", func(ctx context.Context) error { return run(ctx, s) })
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
	server, err := program.Serve(ctx, s.program, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer server.Stop()
	b := &bench{settings: s, api: server.API}
	var r result
	if r.single, err = b.oneByOne(ctx); err != nil {
		return err
	}
	if err := b.many(ctx, &r); err != nil {
		return err
	}
	if r.memory, err = server.Memory(); err != nil {
		return err
	}
	return r.report(s)
}

// bench is a server and what asks it.
type bench struct {
	settings
	api *client.Client
}

// project makes a project whose builds run one command.
func (b *bench) project(ctx context.Context, name, command string, limit int) error {
	definition, err := json.Marshal(map[string]any{
		"name": name, "source": map[string]string{"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases:\n  build:\n    commands:\n      - " + command + "\n"},
		"artifacts":   map[string]string{"type": "NO_ARTIFACTS"},
		"environment": map[string]string{"type": "LINUX_CONTAINER", "image": "none", "computeType": "BUILD_GENERAL1_SMALL"}, "concurrentBuildLimit": limit,
	})
	if err == nil {
		_, err = b.api.PutProject(ctx, name, definition)
	}
	return err
}

// ended waits until all builds have.
func (b *bench) ended(ctx context.Context, ids []string) (all []client.Build, err error) {
	for _, id := range ids {
		var build client.Build
		err := program.Until(ctx, func() (bool, error) {
			var err error
			build, err = b.api.Build(ctx, id)
			return build.Done(), err
		})
		if err != nil {
			return nil, err
		}
		if build.Status != client.BuildSucceeded {
			return nil, fmt.Errorf("build %s: %s: %s", id, build.Status, build.Message)
		}
		all = append(all, build)
	}
	return all, nil
}

// oneByOne measures builds that do nothing, from the moment in which they are
// asked for until their end is recorded.
func (b *bench) oneByOne(ctx context.Context) (took []time.Duration, err error) {
	if err := b.project(ctx, "nothing", "'true'", 0); err != nil {
		return nil, err
	}
	for range b.single {
		asked, err := b.api.StartBuild(ctx, "nothing", client.BuildRequest{})
		if err != nil {
			return nil, err
		}
		all, err := b.ended(ctx, []string{asked.ID})
		if err != nil {
			return nil, err
		}
		took = append(took, all[0].Ended.Sub(all[0].Started))
	}
	slices.Sort(took)
	return took, nil
}

// many asks for many builds at once, of four projects and of a fifth whose limit
// is one build.
func (b *bench) many(ctx context.Context, r *result) error {
	for i, name := range projects() {
		limit := 0
		if i == len(projects())-1 {
			limit = 1
		}
		if err := b.project(ctx, name, "sleep 0.5", limit); err != nil {
			return err
		}
	}
	var ids []string
	for i := range b.queued {
		asked, err := b.api.StartBuild(ctx, projects()[i%len(projects())], client.BuildRequest{})
		if err != nil {
			return err
		}
		ids = append(ids, asked.ID)
	}
	all, err := b.ended(ctx, ids)
	if err != nil {
		return err
	}
	r.queue(all)
	return nil
}

func projects() []string { return []string{"one", "two", "three", "four", "limited"} }
