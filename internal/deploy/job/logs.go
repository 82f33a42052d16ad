package job

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// How much of the logs is kept, and how long is waited for the rest of them.
const (
	shownLines = 2000 // lines in the runbook; what follows is only in the tail
	tailLines  = 50
	followOn   = 300 * time.Millisecond // until a stream that broke is taken up again
	lastLines  = 5 * time.Second        // for the streams to end once the Job has
)

// logs brings the lines of a Job's pods into the runbook while they are
// written, and keeps the last ones: when the pods are deleted, their logs are
// gone with them.
type logs struct {
	cluster   *kube.Cluster
	log       *runbook.Runbook
	namespace string
	pods      *kube.Follower[*corev1.Pod]
	ctx       context.Context //nolint:containedctx // it is the life of the streams, which close ends
	cancel    context.CancelFunc
	streams   sync.WaitGroup
	known     map[string]bool // containers by pod UID and name, of follow alone

	mu    sync.Mutex
	shown int
	last  []string
}

func newLogs(ctx context.Context, config Config, namespace string, pods *kube.Follower[*corev1.Pod]) *logs {
	ctx, cancel := context.WithCancel(ctx)
	return &logs{cluster: config.Cluster, log: config.Log, namespace: namespace, pods: pods, ctx: ctx, cancel: cancel, known: map[string]bool{}}
}

// follow begins to read the logs of a pod's containers that have started.
func (l *logs) follow(pod *corev1.Pod) {
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for _, status := range statuses {
		started := status.State.Running != nil || status.State.Terminated != nil || status.RestartCount > 0
		key := string(pod.UID) + "/" + status.Name
		if !started || l.known[key] {
			continue
		}
		l.known[key] = true
		prefix := pod.Name
		if len(statuses) > 1 {
			prefix += " " + status.Name
		}
		l.streams.Go(func() { l.stream(pod, status.Name, prefix) })
	}
}

// stream reads one container's log until its pod will not run again.
func (l *logs) stream(pod *corev1.Pod, container, prefix string) {
	var last time.Time
	for {
		final := l.gone(pod)
		err := l.cluster.FollowLog(l.ctx, kube.LogRequest{Namespace: l.namespace, Pod: pod.Name, Container: container}, last,
			func(at time.Time, text string) {
				last = at
				l.line(prefix + " | " + text)
			})
		if kube.IsNotFound(err) || (final && err == nil) {
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(followOn):
		}
	}
}

// gone tells whether a pod will not run again, by the latest that is known of
// it.
func (l *logs) gone(pod *corev1.Pod) bool {
	for _, latest := range l.pods.Items() {
		if latest.UID == pod.UID {
			return over(latest)
		}
	}
	return over(pod)
}

func (l *logs) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, text); len(l.last) > tailLines {
		l.last = slices.Delete(l.last, 0, 1)
	}
	switch l.shown++; {
	case l.shown <= shownLines:
		l.log.Line("        %s", text)
	case l.shown == shownLines+1:
		l.log.Line("        ... it writes more than %d lines: of the rest, the last %d are kept", shownLines, tailLines)
	}
}

// close ends the streams. Those of pods that have ended come to their own end,
// which is worth a moment's patience.
func (l *logs) close(patience time.Duration) {
	quiet := make(chan struct{})
	go func() { l.streams.Wait(); close(quiet) }()
	select {
	case <-quiet:
	case <-time.After(patience):
	}
	l.cancel()
	<-quiet
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown > shownLines {
		l.log.Line("        the last lines of %d:\n%s", l.shown, indented(strings.Join(l.last, "\n")))
	}
}

// tail is the end of what was written.
func (l *logs) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

func indented(text string) string { return "  | " + strings.ReplaceAll(text, "\n", "\n  | ") }
