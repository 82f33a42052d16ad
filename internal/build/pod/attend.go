package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/build/pod/tree"
)

// askAgain is how soon a runner that does not answer is asked again.
const askAgain = 100 * time.Millisecond

// attend sees to one run of the build from wherever it stands to its end: the
// Pod is made, given its build, followed and emptied. The error is lost when
// the Pod has gone with the build, and the cause of ctx when that has ended;
// then the Pod is left as it is.
func (r *run) attend(ctx context.Context) (build.Ended, error) {
	if r.record.Run == 0 {
		if err := r.files.save(&r.record, r.next()); err != nil {
			return build.Ended{}, err
		}
	}
	p, err := r.plan()
	if err != nil {
		return build.Ended{}, err
	}
	if err := r.provide(ctx, &p); err != nil {
		return build.Ended{}, err
	}
	l := r.link()
	defer l.close()
	ended, err := r.watched(ctx, l, p)
	if err != nil {
		return build.Ended{}, err
	}
	r.dismiss(ctx, l)
	return ended.Ended, ended.err()
}

// watched goes through the stages of a run for as long as its Pod is well.
func (r *run) watched(ctx context.Context, l *link, p plan) (result, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ended, err := r.through(ctx, r.watch(ctx, end), l, p)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return result{}, cause
	}
	return ended, err
}

// through goes through the stages of a run.
func (r *run) through(ctx context.Context, w *watcher, l *link, p plan) (result, error) {
	if err := r.sendProgram(ctx, w); err != nil {
		return result{}, err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
	var state runner.State
	err := r.insist(ctx, func(ctx context.Context) (err error) {
		state, err = l.state(ctx)
		return err
	})
	if err == nil && state.Stage == runner.Waiting {
		err = r.hand(ctx, l, p)
	}
	if err == nil {
		done := r.keepCache(ctx)
		err = r.followLog(ctx, l)
		done()
	}
	if err != nil {
		return result{}, err
	}
	return r.take(ctx, l)
}

func (r *run) link() *link {
	return &link{cluster: r.cluster, namespace: r.record.Namespace, pod: r.record.Pod, token: r.record.Token}
}

// insist repeats do while the runner does not answer, until it has not done so
// for too long: then the Pod is lost, if its cluster answers. When that does
// not either, the build may go on in it, and is waited for.
func (r *run) insist(ctx context.Context, do func(context.Context) error) error {
	silent := time.Now()
	for {
		err := do(ctx)
		if err == nil || errors.Is(err, errForeign) || isFinal(err) {
			return err
		}
		if quiet := time.Since(silent); quiet > r.config.Silence {
			if _, unreachable := r.cluster.Ping(ctx); unreachable == nil {
				return lost(fmt.Sprintf("its Pod %s has not answered for %s: %v", r.record.Pod, quiet.Round(time.Second), err))
			} else if quiet > r.build.Timeout+r.config.Silence {
				return unreachable
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(askAgain):
		}
	}
}

// final is an error that does not pass.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

func isFinal(err error) bool {
	_, is := errors.AsType[final](err)
	return is
}

// hand gives the runner its build, with the files.
func (r *run) hand(ctx context.Context, l *link, p plan) error {
	order, err := r.order(ctx, p)
	if err != nil {
		return err
	}
	text, err := json.Marshal(order)
	if err != nil {
		return fmt.Errorf("hand over the build: %w", err)
	}
	return r.insist(ctx, func(ctx context.Context) error {
		return l.send(ctx, "/build", func(w io.Writer) error { return r.pack(w, text) })
	})
}

// order is the build for the runner, with what it may know and not show.
func (r *run) order(ctx context.Context, p plan) (runner.Order, error) {
	order := runner.Order{Build: r.build, Greeting: p.greeting(), Variables: variables(p.services), Caches: r.keepsCache()}
	for _, s := range p.services {
		order.Services = append(order.Services, fmt.Sprintf("service %s: %s is ready on 127.0.0.1:%d", s.Name, s.titled(), s.port))
		order.Titles = append(order.Titles, s.titled())
		order.Hidden = append(order.Hidden, s.password)
	}
	var err error
	if r.build.Values != nil {
		if order.Values, err = r.build.Values(ctx); err != nil {
			return order, err
		}
	}
	if r.build.Kubeconfig != nil {
		order.Kubeconfig, err = r.build.Kubeconfig(ctx)
	}
	return order, err
}

// pack writes what the runner needs. What fails here fails again.
func (r *run) pack(w io.Writer, order []byte) error {
	p, err := tree.NewPacker(w)
	if err == nil {
		err = p.Text(runner.OrderName, order)
	}
	if err == nil {
		err = r.packTrees(p)
	}
	if err == nil {
		err = p.Close()
	}
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return final{fmt.Errorf("hand over the build: %w", err)}
	}
	return err
}
