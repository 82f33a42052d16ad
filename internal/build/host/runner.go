//go:build linux

package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/build/service"
	"github.com/towline/towline/internal/report"
)

// hiddenFD is where a runner finds what no file may hold, behind its lock.
const hiddenFD = box.FirstFD + 1

// errStopped ends a build because its runner was told to.
var errStopped = errors.New("the build was stopped")

// RunnerMain runs the build of dir, as Host.Run left it there, and returns the
// exit code. It is for a process that does nothing else.
func RunnerMain(ctx context.Context, dir string) int {
	return box.Main(ctx, 2, func(ctx context.Context, me box.Runner) error { return runBuild(ctx, me, dir) })
}

func runBuild(ctx context.Context, me box.Runner, dir string) error {
	files := buildFiles{dir: dir}
	var in instructions
	if ok, err := box.ReadRecord(dir, instructionsFile, &in); err != nil || !ok {
		return errors.Join(err, errors.New("this command is started by Towline itself, with the directory of a build"))
	}
	secrets, err := takeOver()
	if err != nil {
		return err
	}
	log, err := report.OpenLog(in.LogFile)
	if err != nil {
		return err
	}
	moved, places, err := enter(in)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	if in.User >= 0 {
		if err := process.KeepRights(); err != nil {
			return errors.Join(err, leave(moved, places), log.Close())
		}
	}
	me.Run = in.Run
	ended, err := build.Ended{}, me.Begin(moved.Dir)
	if err == nil {
		r := &runner{in: moved, hidden: secrets, places: places, log: log}
		ended, err = r.run(ctx)
	}
	err = errors.Join(err, leave(moved, places))
	if errors.Is(err, errStopped) {
		// Who stopped it knows, and nobody reads a result.
		return errors.Join(files.clean(), log.Close())
	}
	res := result{Ended: ended}
	if err := errors.Join(err, files.clean(), log.Close()); err != nil {
		res.Fault = err.Error()
	}
	return box.PassRecord(dir, resultFile, res)
}

// runner runs one build.
type runner struct {
	in     instructions
	hidden hidden
	places places
	log    *report.Log
	out    *phases.Output
}

// run runs the whole build. When it returns nothing of it is left but its
// files. The error is a fault, or errStopped.
func (r *runner) run(ctx context.Context) (ended build.Ended, err error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.in.Build.Timeout)
	defer cancel()
	process.Limit()
	process.Yield()
	if r.in.User >= 0 {
		if err := process.LimitCount(r.in.Limits.Processes); err != nil {
			return build.Ended{}, err
		}
	}
	if r.out, err = phases.NewOutput(r.log); err != nil {
		return build.Ended{}, err
	}
	r.out.Label(r.in.Build.Label)
	stopReaping := process.ReapOrphans()
	watched, stopWatching := r.watch(ctx)
	ended, err = r.build(watched)
	excess := stopWatching()
	if ended.TimedOut != "" {
		r.out.Printf("host backend: the build took longer than %v and is ended", r.in.Build.Timeout)
	}
	stopReaping()
	if killing := process.KillAll(process.Descendants); killing != nil {
		err = errors.Join(err, fmt.Errorf("end the build's processes: %w", killing))
	}
	if ended.Exceeded != nil && excess.Kind.OnDisk() {
		err = errors.Join(err, r.emptySource())
	}
	err = errors.Join(err, r.out.Close())
	ended.Seconds = time.Since(started).Seconds()
	switch {
	case ended.TimedOut != "", ended.Exceeded != nil:
		return ended, nil
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return ended, errStopped
	}
	return ended, err
}

// build starts the services, runs the phases and stops the services.
func (r *runner) build(ctx context.Context) (build.Ended, error) {
	as := "as user " + strconv.Itoa(r.in.User) + ", with the machine's files and network"
	if r.in.User < 0 {
		as = "as Towline's own user"
	}
	r.out.Printf("host backend: not isolated: the commands run on this machine %s", as)
	env := r.environment()
	maps.Copy(env, r.hidden.Values.Plain)
	maps.Copy(env, r.hidden.Values.Env)
	var ended build.Ended
	stop, err := r.services(ctx, env, &ended)
	defer stop()
	if err != nil {
		return ended, err
	}
	maps.Copy(env, r.in.Build.Override)
	maps.Copy(env, r.hidden.Values.Override)
	walk := phases.Walk{
		Build: r.in.Build, Source: r.places.source, Control: r.places.control, LogFile: r.in.LogFile,
		User: r.in.User, Users: r.in.Users, Program: r.places.program,
		Env: env, Values: r.hidden.Values, Kubeconfig: r.hidden.Kubeconfig, Output: r.out,
	}
	if r.in.User < 0 {
		walk.Start = func(cmd *exec.Cmd) error { return process.StartWithin(cmd, r.in.Limits.Processes) }
	}
	if r.in.Archives != "" {
		walk.Archives = cache.Dir{Path: r.in.Archives}
	}
	err = walk.Run(ctx, &ended)
	return ended, err
}

// services starts the build's databases and puts into env how they are found.
// Those that run are ended by stop, also after an error.
func (r *runner) services(ctx context.Context, env map[string]string, ended *build.Ended) (stop func(), err error) {
	var running []*service.Server
	stop = func() {
		for _, server := range running {
			server.Stop()
		}
	}
	place := service.Place{
		Data: r.places.services, Outside: filepath.Join(r.in.Dir, boxDir, servicesDir), Templates: r.in.Templates,
		Sockets: socketDir(r.in.Dir), Logs: r.places.control, User: r.in.User, Environ: r.in.Environ,
		Mark: markerVariable + "=" + r.in.Marker, Hide: func(secret string) { r.log.Hide(secret) }, Say: r.out.Printf,
	}
	if r.in.Boxed {
		place.Layers = filepath.Join(r.in.Dir, boxDir, layersDir)
	}
	var accounts []service.Named
	for _, s := range r.in.Build.Services {
		server, err := service.Start(ctx, place, s)
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			ended.TimedOut = "start of service " + s.Name
		}
		if e, ok := errors.AsType[build.ErrExceeded](context.Cause(ctx)); ok {
			ended.Exceeded = &build.Exceeded{Phase: "start of service " + s.Name, Text: e.Text}
		}
		if err != nil {
			return stop, fmt.Errorf("start service %s: %w", s.Name, err)
		}
		running, accounts = append(running, server), append(accounts, service.Named{Name: s.Name, Account: server.Account})
		ended.Services = append(ended.Services, server.Title)
		r.out.Printf("service %s: %s is ready on 127.0.0.1:%d (%v)", s.Name, server.Title, server.Port, server.Took.Round(time.Millisecond))
	}
	maps.Copy(env, service.Environment(accounts))
	return stop, nil
}

// socketDir is the directory of the sockets of a build's databases. It is not
// below the build's own, since the path of a socket may have 107 bytes only.
func socketDir(buildDir string) string {
	sum := sha256.Sum256([]byte(buildDir))
	return filepath.Join("/tmp", "towline-db-"+hex.EncodeToString(sum[:6]))
}

// environment is the environment of the commands without the services.
func (r *runner) environment() map[string]string {
	machine := map[string]string{}
	for _, v := range r.in.Environ {
		name, value, _ := strings.Cut(v, "=")
		machine[name] = value
	}
	p := r.places
	seen := phases.Places{Source: p.source, Inputs: p.inputs, Home: p.home, Temp: p.temp, Cache: p.cache}
	env := seen.Environment(machine, r.in.Build)
	env[markerVariable] = r.in.Marker
	return env
}

// markerVariable is how the processes of a build are known when the runner that
// started them is lost.
const markerVariable = "TOWLINE_BUILD_MARKER"

// sweep ends the processes that a lost runner left: those whose environment has
// the marker. Process and session IDs would say nothing after a restart of the
// machine, when they may be anybody's.
func sweep(marker string) error { return process.KillMarked(markerVariable, marker) }

// passed are the variables of the server that its builds get too: where the
// programs are, and how to reach the network.
func passed(environ []string) []string {
	keep := map[string]bool{}
	for _, name := range []string{
		"PATH", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy",
		"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOTOOLCHAIN", "SSL_CERT_FILE", "SSL_CERT_DIR", "JAVA_HOME",
		"npm_config_registry", "PIP_INDEX_URL",
	} {
		keep[name] = true
	}
	kept := []string{}
	path := false
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if keep[name] {
			kept = append(kept, v)
			path = path || name == "PATH"
		}
	}
	if !path {
		kept = append(kept, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return kept
}
