package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// redrawEvery is how often running clocks move on a terminal.
const redrawEvery = 200 * time.Millisecond

// follow shows an execution as it runs until it has ended: its stages and
// actions, and the actions' logs line by line. On a terminal the state stays
// below the log; in a pipe each change is a line of its own.
func (c *command) follow(ctx context.Context, api *client.Client, id string) (client.Execution, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &follower{api: api, states: make(chan client.Execution), lines: make(chan string), following: map[client.ActionRef]bool{}}
	f.view = newView(c.Err)
	ended := make(chan error, 1)
	go func() {
		ended <- api.Watch(ctx, id, func(e client.Execution) error {
			select {
			case f.states <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return f.run(ctx, ended)
}

type follower struct {
	api       *client.Client
	view      view
	states    chan client.Execution
	lines     chan string
	following map[client.ActionRef]bool
	logs      sync.WaitGroup
	latest    client.Execution
}

func (f *follower) run(ctx context.Context, ended <-chan error) (client.Execution, error) {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	var drained chan struct{}
	for {
		select {
		case e := <-f.states:
			f.view.change(f.latest, e)
			f.latest = e
			f.followLogs(ctx, e)
		case line := <-f.lines:
			f.view.log(line)
		case <-tick.C:
			f.view.tick()
		case err := <-ended:
			if err != nil {
				f.view.end()
				return f.latest, err
			}
			ended, drained = nil, make(chan struct{})
			go func() { f.logs.Wait(); close(drained) }()
		case <-drained:
			f.view.end()
			return f.latest, nil
		}
	}
}

// followLogs begins to read the logs of the actions that have started.
func (f *follower) followLogs(ctx context.Context, e client.Execution) {
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			ref := client.ActionRef{Execution: e.ID, Stage: s.Name, Attempt: s.Attempt, Action: a.Name}
			if a.Status == pipeline.StatusPending || f.following[ref] {
				continue
			}
			f.following[ref] = true
			f.logs.Go(func() { f.followLog(ctx, ref) })
		}
	}
}

func (f *follower) followLog(ctx context.Context, ref client.ActionRef) {
	read, write := io.Pipe()
	go func() { write.CloseWithError(f.api.Follow(ctx, ref, write)) }()
	scanner := bufio.NewScanner(read)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		select {
		case f.lines <- fmt.Sprintf("%s/%s │ %s", ref.Stage, ref.Action, printable(unstamped(scanner.Text()))):
		case <-ctx.Done():
		}
	}
	err := scanner.Err()
	read.CloseWithError(err)
	if err == nil || ctx.Err() != nil {
		return
	}
	select {
	case f.lines <- fmt.Sprintf("%s/%s │ the rest of this log is not shown: %s", ref.Stage, ref.Action, printable(err.Error())):
	case <-ctx.Done():
	}
}

// unstamped is a log line without its time.
func unstamped(line string) string {
	stamp, text, ok := strings.Cut(line, " ")
	if _, err := time.Parse(time.RFC3339, stamp); err != nil || !ok {
		return line
	}
	return text
}

// view is where a followed execution is shown. Its methods are called from one
// goroutine.
type view interface {
	change(before, now client.Execution)
	log(line string)
	tick()
	end()
}

func newView(w io.Writer) view {
	if width, ok := terminal(w); ok {
		return &screen{out: w, width: width}
	}
	return &lines{out: w}
}

// screen keeps the execution's state on the lowest lines of a terminal, under
// the log.
type screen struct {
	out   io.Writer
	width int
	drawn int // lines of the state that stand on the screen
	last  client.Execution
}

var _ view = (*screen)(nil)

func (s *screen) change(_, now client.Execution) {
	s.last = now
	s.draw()
}

func (s *screen) log(line string) {
	s.erase()
	fmt.Fprintln(s.out, "\x1b[2m"+shorten(line, s.width-1)+"\x1b[0m")
	s.draw()
}

func (s *screen) tick() { s.draw() }

func (s *screen) end() {
	s.draw()
	s.drawn = 0
}

func (s *screen) draw() {
	if s.last.ID == "" {
		return
	}
	s.erase()
	state := showExecution(s.last, time.Now(), s.width)
	fmt.Fprintln(s.out, strings.Join(state, "\n"))
	s.drawn = len(state)
}

// erase takes the state off the screen: up to its first line, then clear to
// the end.
func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// lines tells what changes, a line each. Progress is for eyes that watch a
// terminal: what of it is worth keeping stands in the log.
type lines struct {
	out  io.Writer
	last client.Execution
}

var _ view = (*lines)(nil)

func (l *lines) change(before, now client.Execution) {
	l.last = now
	if before.ID == "" {
		fmt.Fprintln(l.out, headline(now, time.Now()))
	}
	was := map[string]pipeline.Status{}
	for _, s := range before.Stages {
		for _, a := range s.Actions {
			was[s.Name+"/"+a.Name] = a.Status
		}
	}
	for _, s := range now.Stages {
		for _, a := range s.Actions {
			key := s.Name + "/" + a.Name
			if a.Status != was[key] && a.Status != pipeline.StatusPending {
				fmt.Fprintln(l.out, strings.TrimRight(fmt.Sprintf("%s %s %s %s", key, a.Status, seconds(a, time.Now()), remark(now, s, a)), " "))
			}
		}
	}
}

func (l *lines) log(line string) { fmt.Fprintln(l.out, line) }

func (l *lines) tick() {}

func (l *lines) end() {
	if l.last.ID != "" {
		fmt.Fprintln(l.out, strings.Join(showExecution(l.last, time.Now(), 0), "\n"))
	}
}
