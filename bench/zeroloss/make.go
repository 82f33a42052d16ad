package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/deploy/webtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// The times that Towline is asked to wait. A cluster of one machine knows of a
// change long before.
const (
	propagation    = 3 * time.Second
	analysis       = 2 * time.Second
	scaleDownDelay = 3 * time.Second
	abortDelay     = time.Minute     // in which a cut-over can be aborted
	around         = 2 * time.Second // of requests before a cut-over, and after it
	patience       = 3 * time.Minute // for a first deployment and for a naive cut-over
)

// makeBlock makes cut-overs of one kind on an application of their own, which
// is removed at the end.
func (st *stage) makeBlock(ctx context.Context, block []cutover, results *results, begin time.Time) (err error) {
	kind := block[0].kind()
	namespace := kind.namespace()
	if err := st.remove(ctx, namespace); err != nil { // what a slice has left that was killed
		return err
	}
	defer func() { err = errors.Join(err, st.remove(ctx, namespace)) }()
	dir, err := os.MkdirTemp("", "towline-zeroloss-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	app := &subject{stage: st, kind: kind, namespace: namespace, dir: dir}
	if err := app.begin(ctx); err != nil {
		return fmt.Errorf("deploy the first revision for %s: %w", kind, err)
	}
	for _, c := range block {
		if st.slice > 0 && time.Since(begin) > st.slice {
			return nil
		}
		r, err := app.cutOver(ctx, c)
		if err != nil {
			return fmt.Errorf("%s, cut-over %d: %w", kind, c.Number, err)
		}
		if err := results.add(r); err != nil {
			return err
		}
		fmt.Printf("%-48s %3d   %6.1f s   lost %d of %d, not sent %d   %s %s\n",
			kind, c.Number, r.Seconds, r.Counts.Lost, r.Counts.Requests, r.Counts.NotSent, r.Outcome, firstLine(r.Message))
		if r.starved() {
			return st.slower(results)
		}
	}
	return nil
}

// slower takes a quarter off the rate, and ends the block: what the machine did
// beside it has met the application as well.
func (st *stage) slower(results *results) error {
	st.rate = max(st.rate*3/4, rates[0])
	fmt.Printf("the machine did not hold the rate: %d requests/s from now on\n", st.rate)
	return results.write(rateRecord{SteadyRate: st.rate})
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// subject is the application that is cut over.
type subject struct {
	*stage
	kind      cutover
	namespace string
	dir       string
	version   int // that runs, 0 or 1
	addresses []string
}

// begin deploys the first revision.
func (a *subject) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	first := a.first
	if a.kind.Strategy == naive || a.kind.Strategy == calibrating {
		first = a.firstPlain
	}
	if err := first(ctx); err != nil {
		return err
	}
	var err error
	if a.addresses, err = a.stage.addresses(ctx, a.namespace); err != nil {
		return err
	}
	return a.settle(ctx)
}

// firstPlain is the first revision by kubectl.
func (a *subject) firstPlain(ctx context.Context) error {
	if err := a.run(ctx, "", "create", "namespace", a.namespace); err != nil {
		return err
	}
	if err := a.run(ctx, a.manifests(), "apply", "-n", a.namespace, "-f", "-"); err != nil {
		return err
	}
	return a.run(ctx, "", "rollout", "status", "-n", a.namespace, "deployment/web")
}

// first is the first revision by Towline, which nobody measures.
func (a *subject) first(ctx context.Context) error {
	drain := "off"
	if a.kind.Drain == "proxy" { // which is to stand before the old pods too
		drain = a.kind.Drain
	}
	request := a.request(cutover{Drain: drain})
	request.Verify = pipeline.Verify{Off: true}
	d, err := a.deployer.Deploy(ctx, request)
	if err == nil && d.Outcome != pipeline.Succeeded {
		err = errors.New(d.Message)
	}
	return err
}

// settle waits until the application answers at every address, several times
// in a row: what it loses before that is nobody's cut-over.
func (a *subject) settle(ctx context.Context) error {
	const inARow = 20
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	for _, address := range a.addresses {
		good := 0
		err := until(ctx, address+" answers", func() (bool, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
			if err != nil {
				return false, err
			}
			good++
			response, err := client.Do(request)
			if err != nil || response.StatusCode != http.StatusOK {
				good = 0
			}
			if err == nil {
				_ = response.Body.Close() // the status was all
			}
			return good >= inARow, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cutOver makes one cut-over under load.
func (a *subject) cutOver(ctx context.Context, c cutover) (result, error) {
	rate := a.rateOf(c)
	load, err := startLoad(ctx, a.addresses, rate, a.clients)
	if err != nil {
		return result{}, err
	}
	stopped := false
	defer func() {
		if !stopped {
			load.stop()
		}
	}()
	if err := pass(ctx, around); err != nil {
		return result{}, err
	}
	old := versionNames[a.version]
	a.version = 1 - a.version
	r := result{cutover: c, Rate: rate}
	begin := time.Now()
	if c.Strategy == naive {
		err = a.naively(ctx, &r)
	} else {
		err = a.deploy(ctx, c, load, old, &r)
	}
	if err != nil {
		return result{}, err
	}
	r.Seconds = time.Since(begin).Seconds()
	if err := pass(ctx, around); err != nil {
		return result{}, err
	}
	stopped = true
	r.Counts, r.LostAt = load.stop()
	if load.versions.latest() == old { // It was aborted or reverted.
		a.version = 1 - a.version
	}
	return r, nil
}

// rateOf is the rate for a cut-over. The application that exits on SIGTERM cuts
// connections, and the nodes remember each of them for two minutes. This
// program has one address: with more than this rate it would use their ports
// again within that time, and new connections would be led to pods that are
// gone, whatever the deployer does.
func (a *subject) rateOf(c cutover) int {
	const remembered = 200
	if c.App == exits && c.Strategy != naive {
		return min(a.rate, remembered)
	}
	return a.rate
}

// pass lets a time pass.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// naively changes the image as most people do.
func (a *subject) naively(ctx context.Context, r *result) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.run(ctx, "", "set", "image", "-n", a.namespace, "deployment/web", "web="+a.images[a.version]); err != nil {
		return err
	}
	if err := a.run(ctx, "", "rollout", "status", "-n", a.namespace, "deployment/web"); err != nil {
		return err
	}
	r.Outcome = string(pipeline.Succeeded)
	// A rollout is done for kubectl while old pods are still ending.
	return until(ctx, "the old pods are gone", func() (bool, error) {
		d, err := a.cluster.Get(ctx, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: a.namespace, Name: "web"})
		return err == nil && status(d, "terminatingReplicas") == 0, err
	})
}

// keeps is the line of the runbook by which the requests have moved and the
// old set stays for a while.
var keeps = regexp.MustCompile(`^step \d+ of \d+ +keep\b`)

// deploy makes the cut-over by Towline.
func (a *subject) deploy(ctx context.Context, c cutover, load *load, old string, r *result) error {
	book := &runbook{now: time.Now}
	var aborted time.Time
	if c.Abort {
		book.heed = func(line string) {
			if aborted.IsZero() && keeps.MatchString(line) {
				aborted = time.Now()
				go a.abort(ctx)
			}
		}
	}
	request := a.request(c)
	request.Log = book
	begin := time.Now()
	d, err := a.deployer.Deploy(ctx, request)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, book)
	}
	times := book.times()
	r.Outcome, r.Reverted, r.Message = string(d.Outcome), d.Reverted, d.Message
	r.Overhead = d.Seconds - times.waited.Seconds()
	if d.Verdict != nil {
		r.Verdict = d.Verdict.String()
	}
	for _, drain := range d.Drain {
		r.Rehearse, r.Predicts = drain.Sentence, drain.Unmeasured == "" && !drain.Clean
	}
	switch {
	case c.Abort && !aborted.IsZero():
		r.Rollback = max(load.versions.lastOf(versionNames[a.version]).Sub(aborted).Milliseconds(), 1)
	case !times.switched.IsZero():
		r.SwitchedAt = around.Seconds() + times.switched.Sub(begin).Seconds()
		r.Moved = max(load.versions.lastOf(old).Sub(times.switched).Milliseconds(), 1)
		if d.Verdict != nil {
			r.Verified = verified(d.Verdict.Marks).Milliseconds()
		}
	}
	return nil
}

// abort asks for the way back, as `towline abort` does.
func (a *subject) abort(ctx context.Context) {
	_, err := a.deployer.Abort(ctx, deploy.DecideRequest{App: "web", Namespace: a.namespace, By: "bench", Leave: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, "abort:", err)
	}
}

// request is the deployment of the present version.
func (a *subject) request(c cutover) deploy.Request {
	path := filepath.Join(a.dir, "k8s")
	_ = os.MkdirAll(path, 0o700) // what is wrong with it, writing tells
	if err := os.WriteFile(filepath.Join(path, "web.yaml"), []byte(a.manifests()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err) // the deployment will not find it and say so
	}
	request := deploy.Request{Root: a.dir, Deploy: pipeline.Deploy{
		App: "web", Namespace: a.namespace, Strategy: a.kind.Strategy, Method: a.kind.Method, Timeout: "5m",
		Propagation: propagation.String(), Drain: c.Drain,
	}}
	if a.kind.Strategy != "rolling" { // which has no moment for either
		request.Analysis, request.ScaleDownDelay = analysis.String(), scaleDownDelay.String()
	}
	if c.Abort {
		request.ScaleDownDelay = abortDelay.String()
	}
	if c.Drain == "warn" {
		request.Verify.Budget = 1 << 20 // Losses are foretold, and are to be counted to the end.
	}
	return request
}

// manifests are the application's. Those of the naive cut-over have nothing
// that keeps requests from being lost; Towline completes what is missing.
func (a *subject) manifests() string {
	mode, work := "graceful", "0s"
	if a.kind.App == exits {
		mode, work = "naive", "20ms" // or there would hardly ever be a request to cut
	}
	web := webtest.Deployment(a.images[a.version], a.replicas, "MODE="+mode, "WORK="+work, "STARTUP=500ms")
	if a.kind.Strategy != naive {
		web += webtest.Ready
	}
	return service + "---\n" + web
}

// service leads to the application's port by its name.
const service = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
`
