package rehearsal

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// statusLag is how much later than its end a container may be reported as
// ended.
const statusLag = 3 * time.Second

// Observation is what the clients of a rehearsal saw. Durations are since the
// application was told to end.
type Observation struct {
	App       string
	KeepAlive bool // the application keeps connections open
	InFlight  int  // requests that waited for their answer when the pod was deleted
	Busy      []Fate
	Idle      []Fate
	End       time.Duration // of the application
	ExitCode  int

	PreStop time.Duration // the time that the template lets a pod sleep first
	Detach  time.Duration // the time that it should
	Grace   time.Duration // of the template
	Own     time.Duration // grace period of the spare pod, without the sleep
	Proxied bool
}

// Fate is how one connection ended. Exactly one of Told, Cut and Shut is not
// zero; none is when the connection outlived the rehearsal.
type Fate struct {
	Told time.Duration // its client was told to close it
	Cut  time.Duration // a request on it got no answer
	Shut time.Duration // it was closed with no request on it
	Last time.Duration // the last answer came; zero when none did after the pod was deleted
}

// observe deletes the pod and watches what becomes of the clients.
func (r *rehearsal) observe(ctx context.Context, pod *corev1.Pod) (Observation, error) {
	all, err := r.connect(ctx)
	if err != nil {
		return Observation{}, err
	}
	defer func() {
		all.close()
		all.running.Wait()
	}()
	all.start(ctx)
	select {
	case <-time.After(warmTime):
	case <-ctx.Done():
		return Observation{}, context.Cause(ctx)
	}
	told := r.awaitWord(ctx, pod)
	r.Report("delete it, with requests in flight")
	asked := time.Now()
	waiting := all.note(asked)
	if err := r.Cluster.Delete(ctx, r.ref(), pod.UID); err != nil {
		return Observation{}, err
	}
	reported, code, err := r.awaitEnd(ctx)
	if err != nil {
		return Observation{}, err
	}
	all.settle(ctx)
	span := span{asked: asked, until: time.Now()}
	all.close()
	all.running.Wait()
	span.told = all.firstSign(told(), span)
	o := Observation{
		App: r.App, KeepAlive: all.keepAlive, InFlight: waiting, ExitCode: code,
		PreStop: r.spare.preStop, Detach: r.Detach, Grace: r.spare.grace, Own: r.spare.own, Proxied: r.spare.proxied,
	}
	o.Busy, o.Idle = all.fates(all.busy, span), all.fates(all.idle, span)
	o.End = endOf(o, reported.Sub(span.told))
	return o, nil
}

// awaitWord listens for the kubelet's word that it is about to end the
// application, which follows the deletion by its own time. The function that
// it returns ends that and tells when the word came, zero when it did not.
func (r *rehearsal) awaitWord(ctx context.Context, pod *corev1.Pod) func() time.Time {
	ctx, cancel := context.WithCancel(ctx)
	var mu sync.Mutex
	var at time.Time
	var watching sync.WaitGroup
	watching.Go(func() {
		// Without the right to watch events the first sign of the end tells.
		_ = r.Cluster.WatchEvents(ctx, r.Namespace, pod.UID, func(e kube.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Reason == "Killing" && at.IsZero() {
				at = time.Now()
			}
		})
	})
	return func() time.Time {
		cancel()
		watching.Wait()
		return at
	}
}

// span is the time of an observation.
type span struct {
	asked time.Time // when the pod was deleted
	told  time.Time // when the application was told to end
	until time.Time
}

// firstSign is when the application was told to end: when the kubelet said
// so, or when its connections began to end, whichever was known sooner.
func (all *clients) firstSign(word time.Time, s span) time.Time {
	first := s.until
	if !word.IsZero() {
		first = word
	}
	for _, list := range [][]*client{all.busy, all.idle} {
		for _, c := range list {
			for _, t := range []time.Time{c.told, all.early(c.cut), all.early(c.shut)} {
				if t.After(s.asked) && t.Before(first) {
					first = t
				}
			}
		}
	}
	return first
}

// early is when a connection ended whose end was noticed at that time.
func (all *clients) early(noticed time.Time) time.Time {
	if noticed.IsZero() {
		return noticed
	}
	return noticed.Add(-all.lag)
}

// awaitEnd waits until the cluster says that the application has ended, and
// returns when it did and the exit code.
func (r *rehearsal) awaitEnd(ctx context.Context) (at time.Time, code int, err error) {
	atMost := r.spare.own + goneTime
	limited, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	err = r.Cluster.WatchPod(limited, r.Namespace, r.spare.pod.Name, func(pod *corev1.Pod, gone bool) {
		ended := gone
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == r.spare.container && status.State.Terminated != nil {
				code, ended = int(status.State.Terminated.ExitCode), true
			}
		}
		if ended && at.IsZero() {
			at = time.Now()
			cancel()
		}
	})
	if !at.IsZero() {
		return at, code, nil
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = &unmeasured{fmt.Sprintf("the cluster does not say within %s that the spare pod has ended: its node may be away", atMost)}
	}
	return at, 0, err
}

// fates are what became of the clients' connections.
func (all *clients) fates(list []*client, s span) []Fate {
	since := func(noticed, at time.Time) time.Duration {
		if noticed.Before(s.asked) || noticed.After(s.until) {
			return 0
		}
		return max(at.Sub(s.told), 1)
	}
	out := make([]Fate, 0, len(list))
	for _, c := range list {
		out = append(out, Fate{
			Told: since(c.told, c.told), Last: since(c.last, c.last),
			Cut: since(c.cut, all.early(c.cut)), Shut: since(c.shut, all.early(c.shut)),
		})
	}
	return out
}

// endOf is when the application ended: when the last connection did, unless
// the report of it came so much later that it must have done something else
// since.
func endOf(o Observation, reported time.Duration) time.Duration {
	var last time.Duration
	for _, list := range [][]Fate{o.Busy, o.Idle} {
		for _, f := range list {
			last = max(last, f.Told, f.Cut, f.Shut)
		}
	}
	if last == 0 || reported-last > statusLag {
		return reported
	}
	return last
}
