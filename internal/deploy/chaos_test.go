package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
	"github.com/towline/towline/internal/waittest"
)

// The environment that makes TestChaos run more than its sample.
const (
	chaosWhole  = "TOWLINE_CHAOS"        // "all", or strategies with commas between them
	chaosSeed   = "TOWLINE_CHAOS_SEED"   // default 1
	chaosReport = "TOWLINE_CHAOS_REPORT" // file that the table of results is written to
)

// killed is the fault beside those of the proxy: the process of the API server
// is killed, and its supervisor starts it again.
const killed kubetest.Fault = "API server killed"

// chaosFaults are all faults, the proxy's first.
var chaosFaults = []kubetest.Fault{kubetest.Conflict, kubetest.Busy, kubetest.Broken, kubetest.Lost, kubetest.Dropped, kubetest.Slow, kubetest.Away, killed}

// chaosCase is a deployer that is killed at a point of a deployment, and meets
// a fault before that and when it goes on.
type chaosCase struct {
	Strategy string
	Point    string
	Fault    kubetest.Fault
}

func (c chaosCase) String() string {
	return fmt.Sprintf("%s killed at %s with %s", c.Strategy, c.Point, c.Fault)
}

// rng draws what the case leaves open, the same for the same seed.
func (c chaosCase) rng(seed uint64) *rand.Rand {
	sum := fnv.New64a()
	_, _ = io.WriteString(sum, c.String()) // a hash takes everything
	return rand.New(rand.NewPCG(seed, sum.Sum64()))
}

// faults are the rules by which the case's fault befalls requests.
func (c chaosCase) faults(rng *rand.Rand) kubetest.Faults {
	rule := kubetest.Rule{Fault: c.Fault, From: 1 + rng.IntN(10), Count: 2}
	switch c.Fault {
	case kubetest.Lost, kubetest.Away:
		rule.Count = 1
	case kubetest.Dropped:
		rule.From, rule.Count = 1, 6
	case kubetest.Slow:
		rule.From, rule.Count, rule.For = 1, -1, 100*time.Millisecond
	case killed:
		return kubetest.Faults{}
	}
	return kubetest.Faults{Seed: rng.Uint64(), Rules: []kubetest.Rule{rule}}
}

// chaosSample is what is tried in every run of the tests: each fault once, and
// points of all kinds.
var chaosSample = []chaosCase{
	{plan.Rolling, "journal", kubetest.Conflict},
	{plan.Rolling, "deploying apply Deployment web", kubetest.Lost},
	{plan.Rolling, "end", kubetest.Busy},
	{plan.Immutable, "deploying switch Service web", kubetest.Broken},
	{plan.Immutable, "deploying drain Deployment web", kubetest.Slow},
	{plan.BlueGreen, "deploying switch Service web", kubetest.Away},
	{plan.BlueGreen, "deploying run Job migrate-2-1", kubetest.Dropped},
}

// TestChaos kills deployers at points of the protocol while the API server
// misbehaves, and looks at what is left: one end state, nothing done twice, no
// request lost.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	if text := os.Getenv(chaosSeed); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", chaosSeed, err)
		}
	}
	cases := chaosSample
	if whole := os.Getenv(chaosWhole); whole != "" {
		cases = chaosMatrix(t, whole)
	}
	report := &chaosTable{seed: seed, results: map[chaosCase]bool{}}
	for _, c := range cases {
		t.Run(c.String(), func(t *testing.T) {
			defer func() { report.add(t, c) }()
			if c.Fault == killed { // which befalls everybody
				c.run(t, setupAlone(t), seed)
			} else {
				c.run(t, setupMeasured(t), seed)
			}
		})
	}
}

// chaosMatrix is every point of the strategies with every fault. The points
// are those of a deployment that nothing happens to.
func chaosMatrix(t *testing.T, strategies string) []chaosCase {
	t.Helper()
	if strategies == "all" {
		strategies = strings.Join([]string{plan.Rolling, plan.Immutable, plan.BlueGreen}, ",")
	}
	var cases []chaosCase
	for strategy := range strings.SplitSeq(strategies, ",") {
		b := setupAlone(t)
		request := b.chaosFirst(t, strategy, "")
		for _, point := range b.points(t, request) {
			for _, fault := range chaosFaults {
				cases = append(cases, chaosCase{strategy, unmarked(point), fault})
			}
		}
	}
	return cases
}

// patient is a readiness probe that does not take a busy machine for a pod that
// cannot serve: such a pod would be a breach of the invariants.
const patient = "        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 5}\n"

// chaosFirst deploys revision 1 and writes the manifests of revision 2, whose
// request is returned. Both have the propagation, unless it is "".
func (b *bundle) chaosFirst(t *testing.T, strategy, propagation string) Request {
	t.Helper()
	image := webImage(t)
	version := func(v string) {
		b.write(t, web(image, 2, "VERSION="+v, "MODE=graceful")+patient, webService, fmt.Sprintf(settings, "version-"+v), fmt.Sprintf(migration, image, "done"))
	}
	version("1")
	request := b.request()
	if strategy != plan.Rolling {
		request = b.cutover(strategy)
	}
	request.Propagation = cmp.Or(propagation, request.Propagation)
	request.Verify.Off, request.Timeout = true, "4m"
	b.deployWell(t, request)
	version("2")
	request.Verify.Off = false
	request.Verify.Budget = 1 << 20 // The test's own prober sees through all that happens.
	return request
}

func (c chaosCase) run(t *testing.T, b *bundle, seed uint64) {
	b.config.Recipe = safeRecipe
	propagation := ""
	if c.Fault == killed {
		// The default, and not what a test makes do with: nodes look for an API
		// server that was away at growing intervals.
		propagation = "10s"
	}
	request := b.chaosFirst(t, c.Strategy, propagation)
	request.Key = "chaos"
	rng := c.rng(seed)
	watch := b.chaosWatch(t)
	proxy := kubetest.Faulty(t, "", c.faults(rng))
	if c.Fault == killed {
		time.AfterFunc(time.Duration(rng.IntN(4000))*time.Millisecond, func() { killAPIServer(t, b.cluster) })
	}
	b.chaosKill(t, request, c.Point, proxy)
	proxy.Arm(c.faults(rng))
	d := b.chaosResume(t, request, proxy)
	if d.Outcome != pipeline.Succeeded || d.Revision != 2 || d.Previous != 1 {
		t.Errorf("outcome %s, revision %d after %d, want success as 2 after 1: %s", d.Outcome, d.Revision, d.Previous, d.Message)
	}
	proxy.Arm(kubetest.Faults{})
	watch.end(t)
	b.wantChaosEnd(t)
	if len(proxy.Hits()) == 0 && c.Fault != killed {
		t.Error("the fault has befallen no request, so that this shows nothing")
	}
	if hits := proxy.Hits(); t.Failed() {
		t.Logf("seed %d, %d faults, the first: %+v", seed, len(hits), hits[:min(len(hits), 12)])
	}
}

// chaosKill deploys in processes of their own until one is killed at the
// point. One that gives up before, for the fault is too much for it, is
// followed by the next one with the same key, as the engine does it.
func (b *bundle) chaosKill(t *testing.T, request Request, point string, proxy *kubetest.Proxy) {
	t.Helper()
	for range chaosAttempts {
		child := b.child(t, request, point)
		child.Env = append(child.Env, "KUBECONFIG="+proxy.Kubeconfig)
		out, err := child.CombinedOutput()
		fmt.Fprintf(b.log, "--- the process that is killed at %q:\n%s", point, out)
		status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
		if !ok {
			t.Fatalf("the process did not run: %v", err)
		}
		if status.Signaled() || bytes.Contains(out, []byte("not killed: "+string(pipeline.Succeeded))) {
			return
		}
		if bytes.Contains(out, []byte("not killed: "+string(pipeline.Failed))) {
			break
		}
	}
	t.Errorf("no process has come to %q", point)
}

// chaosAttempts is how many processes may give up before one must not.
const chaosAttempts = 8

// chaosResume goes on with the deployment until it has ended.
func (b *bundle) chaosResume(t *testing.T, request Request, proxy *kubetest.Proxy) pipeline.Deployment {
	t.Helper()
	config := b.config
	config.Cluster = proxy.Cluster
	for attempt := 1; ; attempt++ {
		d, err := New(config).Deploy(t.Context(), request)
		if err == nil {
			return d
		}
		fmt.Fprintf(b.log, "--- attempt %d to go on: %v\n", attempt, err)
		if attempt == chaosAttempts {
			t.Fatalf("the deployment does not go on: %v", err)
		}
	}
}

// chaosEyes see through the whole of a case what must not happen.
type chaosEyes struct {
	prober *probe.Prober
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	least int              // ready endpoints at any time
	jobs  map[int][]string // UIDs of Jobs, by revision
	empty bool             // the Service has had no selector
}

func (b *bundle) chaosWatch(t *testing.T) *chaosEyes {
	t.Helper()
	var route kube.Route
	var err error
	waittest.Until(t, "the node port answers", func() bool {
		route, err = b.cluster.ServiceURL(t.Context(), b.namespace, "web")
		return err == nil && route.Public
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	e := &chaosEyes{cancel: cancel, ended: make(chan struct{}), least: 1 << 20, jobs: map[int][]string{}}
	t.Cleanup(cancel)
	var slices *kube.Follower[*discoveryv1.EndpointSlice]
	started := make(chan struct{})
	slices = b.cluster.FollowEndpointSlices(ctx, b.namespace, "web", func() {
		<-started
		e.count(slices.Items())
	})
	close(started)
	go func() {
		defer close(e.ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				e.look(ctx, b)
			}
		}
	}()
	if e.prober, err = probe.Start(ctx, probe.Config{URL: route.URL + "/", Rate: measuredRate, Timeout: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	return e
}

// count notes how many endpoints are ready.
func (e *chaosEyes) count(items []*discoveryv1.EndpointSlice) {
	ready := 0
	for _, endpoint := range kube.Endpoints(items) {
		if endpoint.Ready {
			ready++
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(items) > 0 {
		e.least = min(e.least, ready)
	}
}

// look notes the Jobs that there are, and what the Service selects. The API
// server may be away.
func (e *chaosEyes) look(ctx context.Context, b *bundle) {
	jobs, err := b.cluster.List(ctx, batchv1.SchemeGroupVersion.WithKind("Job"), b.namespace, job.RunLabel)
	if err != nil {
		return
	}
	services, err := b.cluster.Services(ctx, b.namespace)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range jobs {
		revision, uid := plan.SequenceOf(&jobs[i]), string(jobs[i].GetUID())
		if !slices.Contains(e.jobs[revision], uid) {
			e.jobs[revision] = append(e.jobs[revision], uid)
		}
	}
	at := slices.IndexFunc(services, func(s corev1.Service) bool { return s.Name == "web" })
	e.empty = e.empty || at < 0 || len(services[at].Spec.Selector) == 0
}

// end stops looking and complains of what was seen.
func (e *chaosEyes) end(t *testing.T) {
	t.Helper()
	counts := e.prober.Stop()
	e.cancel()
	<-e.ended
	e.mu.Lock()
	defer e.mu.Unlock()
	if counts.Lost != 0 || counts.Requests == 0 {
		t.Errorf("%d of %d requests were lost: %v", counts.Lost, counts.Requests, counts.Losses)
	}
	if e.least < 2 {
		t.Errorf("the Service had %d ready endpoints at a time, want 2 always", e.least)
	}
	if e.empty {
		t.Error("the Service has selected nothing at a time")
	}
	if len(e.jobs[2]) != 1 {
		t.Errorf("the Job of revision 2 was made %d times, want once", len(e.jobs[2]))
	}
}

// wantChaosEnd checks that the cluster is in exactly one state: revision 2.
func (b *bundle) wantChaosEnd(t *testing.T) {
	t.Helper()
	history, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 2 || history[0].Revision != 2 || history[0].Outcome != pipeline.Succeeded || history[1].Outcome != pipeline.Succeeded {
		t.Errorf("history %+v, want two revisions that have succeeded", history)
	}
	full := 0
	for set, replicas := range b.sets(t) {
		switch replicas {
		case 0:
		case 2:
			full++
		default:
			t.Errorf("Deployment %s has %d replicas, want 2 or none", set, replicas)
		}
	}
	if full != 1 {
		t.Errorf("%d Deployments have pods, want one: %v", full, b.sets(t))
	}
	route, err := b.cluster.ServiceURL(t.Context(), b.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		response, err := http.Get(route.URL + "/") //nolint:noctx // the test's own time limits it
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := cmp.Or(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(text)); got != "2" {
			t.Errorf("version %q answers, want 2", got)
		}
	}
}

// killAPIServer kills the process of the local cluster's API server.
func killAPIServer(t *testing.T, cluster *kube.Cluster) {
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err != nil {
		t.Error(err)
		return
	}
	status, err := local.Status(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Error(err)
		return
	}
	for _, component := range status.Components {
		if component.Name == "kube-apiserver" && component.PID > 0 {
			if err := syscall.Kill(component.PID, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("the cluster has no API server to kill: it is not a local one")
}

// chaosTable is how the cases ended.
type chaosTable struct {
	seed uint64

	mu      sync.Mutex
	results map[chaosCase]bool
}

// add writes the table down, with one more case, when it is asked for.
func (c *chaosTable) add(t *testing.T, one chaosCase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[one] = !t.Failed()
	path := os.Getenv(chaosReport)
	if path == "" {
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Deployers killed while the API server misbehaves\nOn %s, seed %d: a deployer is killed (SIGKILL) at each point of its protocol and meets the fault before that and when another one goes on.\n"+
		"Good means: one end state, revision 2; no Job made twice; never fewer ready endpoints than before; a Service that always selects something; no request lost.\n"+
		"Command: `make chaos`.\n\n| strategy | fault | points | good |\n|---|---|--:|--:|\n", time.Now().UTC().Format(time.DateOnly), c.seed)
	var bad []string
	for _, strategy := range []string{plan.Rolling, plan.Immutable, plan.BlueGreen} {
		for _, fault := range chaosFaults {
			points, good := 0, 0
			for one, ok := range c.results {
				if one.Strategy != strategy || one.Fault != fault {
					continue
				}
				points++
				if ok {
					good++
				} else {
					bad = append(bad, one.String())
				}
			}
			if points > 0 {
				fmt.Fprintf(&text, "| %s | %s | %d | %d |\n", strategy, fault, points, good)
			}
		}
	}
	slices.Sort(bad)
	for _, name := range bad {
		fmt.Fprintf(&text, "\nNot good: %s.\n", name)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Error(err)
	}
}
