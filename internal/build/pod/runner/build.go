//go:build linux

package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/report"
)

// errStopped ends a build because its server says so.
var errStopped = errors.New("the build was stopped")

// build runs the build of an order and keeps its result. When it returns no
// process of the build is left in the Pod, and its credential is gone.
func (r *runner) build(ctx context.Context, order Order) {
	defer close(r.ended)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.mu.Lock()
	r.stop = stop
	r.mu.Unlock()
	ended, err := r.conduct(ctx, order)
	result := Result{Ended: ended}
	if err != nil {
		result.Fault = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage, r.result = Ended, result
}

// conduct runs the build from its first line in the log to its last.
func (r *runner) conduct(ctx context.Context, order Order) (ended build.Ended, err error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, order.Build.Timeout)
	defer cancel()
	for _, dir := range []string{"home", "cache", "control", "own"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			return ended, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	log, err := report.OpenLog(r.logFile())
	if err != nil {
		return ended, err
	}
	for _, text := range order.Hidden {
		log.Hide(text)
	}
	process.Limit()
	out, err := phases.NewOutput(log)
	if err != nil {
		return ended, errors.Join(err, log.Close())
	}
	stopReaping := process.ReapOrphans()
	out.Label(order.Build.Label)
	for _, line := range append([]string{order.Greeting}, order.Services...) {
		if line != "" {
			out.Printf("%s", line)
		}
	}
	walk := phases.Walk{
		Build: order.Build, Source: r.path(SourceTree), Control: r.path("control"), LogFile: r.logFile(), User: -1, AnyUser: true,
		Program: r.config.Program, Env: r.environment(order), Values: order.Values, Kubeconfig: order.Kubeconfig, Output: out,
	}
	if order.Caches {
		walk.Archives = &r.errands
	}
	err = walk.Run(ctx, &ended)
	if ended.TimedOut != "" {
		out.Printf("pod backend: the build took longer than %v and is ended", order.Build.Timeout)
	}
	stopReaping()
	if r.config.Alone {
		if killing := process.KillAll(process.Descendants); killing != nil {
			err = errors.Join(err, fmt.Errorf("end the build's processes: %w", killing))
		}
	}
	// The credentials of the commands go with their directory.
	err = errors.Join(err, out.Close(), log.Close(), os.RemoveAll(r.path("control")))
	ended.Services, ended.Seconds = order.Titles, time.Since(started).Seconds()
	if ended.TimedOut != "" {
		return ended, nil
	}
	return ended, err
}

func (r *runner) logFile() string { return r.path("own", "action.log") }

// environment is that of the image, the build's own over it, and the services'
// addresses.
func (r *runner) environment(order Order) map[string]string {
	image := map[string]string{}
	for _, v := range r.config.Environ {
		name, value, _ := strings.Cut(v, "=")
		image[name] = value
	}
	if image["PATH"] == "" {
		image["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	places := phases.Places{
		Source: r.path(SourceTree), Inputs: r.path(InputsTree), Home: r.path("home"), Temp: r.config.Temp, Cache: filepath.Join(r.config.Dir, "cache"),
	}
	env := places.Environment(image, order.Build)
	maps.Copy(env, order.Values.Plain)
	maps.Copy(env, order.Values.Env)
	maps.Copy(env, order.Variables)
	maps.Copy(env, order.Build.Override)
	maps.Copy(env, order.Values.Override)
	return env
}
