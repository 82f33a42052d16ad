package main

import (
	"cmp"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// load is one prober for each node, so that the data plane of every node is
// tried, and a watch on which version answers.
type load struct {
	probers  []*probe.Prober
	versions *versions
}

// startLoad begins to send that many requests per second in all, as if from
// clients with the addresses of from.
func startLoad(ctx context.Context, addresses []string, rate int, from []netip.Addr) (*load, error) {
	l := &load{}
	for i, address := range addresses {
		share := rate / len(addresses)
		if i < rate%len(addresses) {
			share++
		}
		if share == 0 {
			continue
		}
		p, err := probe.Start(context.WithoutCancel(ctx), probe.Config{URL: "http://" + address + "/", Rate: share, From: from})
		if err != nil {
			l.stop()
			return nil, err
		}
		l.probers = append(l.probers, p)
	}
	l.versions = watchVersions(ctx, addresses)
	return l, nil
}

// stop ends the load and returns what became of it, and when requests were lost.
func (l *load) stop() (counts pipeline.Verdict, lost []float64) {
	if l.versions != nil {
		l.versions.stop()
	}
	each := make([]pipeline.Verdict, len(l.probers))
	var all sync.WaitGroup
	for i, p := range l.probers {
		all.Go(func() { each[i] = p.Stop() })
	}
	all.Wait()
	return merged(each), lostAt(each)
}

// merged are the counts of all probers as one. Of gaps and latencies it has
// the worst one's.
func merged(counts []pipeline.Verdict) pipeline.Verdict {
	sum := pipeline.Verdict{Losses: map[string]int{}, Responses: map[string]int{}}
	for _, c := range counts {
		sum.Requests += c.Requests
		sum.Lost += c.Lost
		sum.NotSent += c.NotSent
		sum.Rate += c.Rate
		addLane(&sum.Fresh, c.Fresh)
		addLane(&sum.KeepAlive, c.KeepAlive)
		sum.LongestGapMs = max(sum.LongestGapMs, c.LongestGapMs)
		sum.P50Ms = max(sum.P50Ms, c.P50Ms)
		sum.P99Ms = max(sum.P99Ms, c.P99Ms)
		addCounts(sum.Losses, c.Losses)
		addCounts(sum.Responses, c.Responses)
	}
	return sum
}

func addLane(sum *pipeline.Lane, lane pipeline.Lane) {
	sum.Requests += lane.Requests
	sum.Lost += lane.Lost
	sum.LongestGapMs = max(sum.LongestGapMs, lane.LongestGapMs)
	if sum.Losses == nil && len(lane.Losses) > 0 {
		sum.Losses = map[string]int{}
	}
	addCounts(sum.Losses, lane.Losses)
}

// lostAt are the seconds since the beginning of the load in which requests were
// lost.
func lostAt(counts []pipeline.Verdict) []float64 {
	var found []float64
	for _, c := range counts {
		if c.Timeline == nil {
			continue
		}
		for i, lost := range c.Timeline.Lost {
			if at := float64(int64(i)*c.Timeline.EveryMs) / 1000; lost > 0 && !slices.Contains(found, at) {
				found = append(found, at)
			}
		}
	}
	slices.Sort(found)
	return found
}

func addCounts(sum, counts map[string]int) {
	for key := range maps.Keys(counts) {
		sum[key] += counts[key]
	}
}

// versions asks, on new connections, which version of the application answers.
type versions struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	last map[string]time.Time // when a request was begun that each version answered
}

// watchPause lies between two such questions.
const watchPause = 20 * time.Millisecond

func watchVersions(ctx context.Context, addresses []string) *versions {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v := &versions{cancel: cancel, done: make(chan struct{}), last: map[string]time.Time{}}
	go func() {
		defer close(v.done)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
		tick := time.NewTicker(watchPause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			v.ask(ctx, client, addresses[rand.IntN(len(addresses))]) //nolint:gosec // any node will do
		}
	}()
	return v
}

func (v *versions) ask(ctx context.Context, client *http.Client, address string) {
	begun := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		return
	}
	response, err := client.Do(request)
	if err != nil {
		return // The probers count losses.
	}
	defer response.Body.Close()
	const most = 64
	text, err := io.ReadAll(io.LimitReader(response.Body, most))
	if version := strings.TrimSpace(string(text)); err == nil && response.StatusCode == http.StatusOK && version != "" {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.last[version] = begun
	}
}

// lastOf is when the last request was begun that a version has answered.
func (v *versions) lastOf(version string) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last[version]
}

// latest is the version that has answered last.
func (v *versions) latest() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var newest string
	for version, at := range v.last {
		if newest == "" || cmp.Compare(at.UnixNano(), v.last[newest].UnixNano()) > 0 {
			newest = version
		}
	}
	return newest
}

func (v *versions) stop() {
	v.cancel()
	<-v.done
}
