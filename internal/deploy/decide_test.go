package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// approved deploys VERSION=1 and returns the request for VERSION=2 that waits
// for an approval.
func (b *bundle) approved(t *testing.T) Request {
	t.Helper()
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	request := b.request()
	request.Strategy, request.ScaleDownDelay, request.Propagation, request.Analysis = "blue-green", "0s", "1s", "0s"
	request.Drain, request.Verify.Off = "off", true
	b.deployWell(t, request)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService)
	request.Approval = true
	return request
}

// waiting waits until a revision waits for a decision.
func (b *bundle) waiting(t *testing.T, revision int) {
	t.Helper()
	waittest.Until(t, fmt.Sprintf("revision %d waits for a decision", revision), func() bool {
		j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
		return err == nil && j.ByRevision(revision) != nil && !j.ByRevision(revision).Waiting.IsZero()
	})
}

// ended is what a deployment in the background has come to.
type ended struct {
	deployment pipeline.Deployment
	err        error
}

// inBackground deploys and tells its end.
func (b *bundle) inBackground(t *testing.T, request Request) <-chan ended {
	done := make(chan ended, 1)
	go func() {
		d, err := New(b.config).Deploy(t.Context(), request)
		done <- ended{d, err}
	}()
	return done
}

func (b *bundle) decision(by string) DecideRequest {
	return DecideRequest{App: "web", Namespace: b.namespace, By: by, Log: b.log}
}

func TestADecisionIsCarriedOutByTheDeployerThatWaits(t *testing.T) {
	t.Parallel()
	t.Run("a promotion lets the requests move", func(t *testing.T) {
		b := setup(t)
		done := b.inBackground(t, b.approved(t))
		b.waiting(t, 2)
		history, err := New(b.config).History(t.Context(), b.namespace, "web")
		if err != nil || !history[0].Waiting {
			t.Errorf("the list does not say that it waits: %+v, %v", history, err)
		}
		d, err := New(b.config).Promote(t.Context(), b.decision("anna@laptop"))
		if err != nil || d.Outcome != pipeline.Succeeded || d.Revision != 2 {
			t.Errorf("promoted: %+v, %v", d, err)
		}
		if e := <-done; e.err != nil || e.deployment.Outcome != pipeline.Succeeded {
			t.Errorf("the deployer itself: %+v", e)
		}
		if !strings.Contains(b.log.String(), "revision 2 was promoted by anna@laptop at ") {
			t.Error("the log does not say who has promoted it")
		}
		_, err = New(b.config).Abort(t.Context(), b.decision("ben@desk"))
		if err == nil || !strings.Contains(err.Error(), "there is nothing to abort: `towline rollback web` brings back the one before") {
			t.Errorf("an abort after the end: %v", err)
		}
	})
	t.Run("the first decision wins and the second one is told of it", func(t *testing.T) {
		b := setup(t)
		done := b.inBackground(t, b.approved(t))
		b.waiting(t, 2)
		request := b.decision("anna@laptop")
		request.Leave, request.Reason = true, "wrong ticket"
		if _, err := New(b.config).Abort(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		_, err := New(b.config).Promote(t.Context(), b.decision("ben@desk"))
		if err == nil || !strings.Contains(err.Error(), "by anna@laptop at ") && !strings.Contains(err.Error(), "reverted") && !strings.Contains(err.Error(), "has ended") {
			t.Errorf("a promotion after an abort: %v", err)
		}
		e := <-done
		if e.err != nil || !e.deployment.Reverted || !strings.Contains(e.deployment.Message, "revision 2 was aborted by anna@laptop at ") || !strings.Contains(e.deployment.Message, ": wrong ticket") {
			t.Errorf("the deployer: %+v", e)
		}
	})
}

func TestADecisionTakesUpADeploymentWhoseProcessIsGone(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(*Deployer, context.Context, DecideRequest) (pipeline.Deployment, error){
		"promoted": (*Deployer).Promote, "aborted": (*Deployer).Abort,
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			request := b.approved(t)
			b.deployKilled(t, request, "waiting")
			d, err := decide(New(b.config), t.Context(), b.decision("anna@laptop"))
			if err != nil {
				t.Fatal(err)
			}
			if promoted := d.Outcome == pipeline.Succeeded; promoted != (name == "promoted") || d.Reverted == promoted || d.Revision != 2 {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestAnAbortStopsADeploymentAnywhere aborts one that waits for pods that never
// become ready.
func TestAnAbortStopsADeploymentAnywhere(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	b.deployFirst(t)
	b.write(t, web(image, 1, "VERSION=2", "UNREADY=yes")+"        readinessProbe: {httpGet: {path: /nowhere, port: 8080}, periodSeconds: 1}\n", webService)
	request := b.request()
	request.Verify.Off, request.Timeout = true, "5m"
	done := b.inBackground(t, request)
	b.log.Await(t, "journal revision 2")
	_, err := New(b.config).Promote(t.Context(), b.decision("ben@desk"))
	if err == nil || !strings.Contains(err.Error(), "revision 2 of web waits for no approval") {
		t.Errorf("a promotion of what needs none: %v", err)
	}
	d, err := New(b.config).Abort(t.Context(), b.decision("anna@laptop"))
	if err != nil || !d.Reverted || !strings.Contains(d.Message, "revision 2 was aborted by anna@laptop") {
		t.Errorf("%+v, %v", d, err)
	}
	if e := <-done; e.err != nil || !e.deployment.Reverted {
		t.Errorf("the deployer: %+v", e)
	}
}

func TestOneOfManyDecisionsWins(t *testing.T) {
	b := setup(t)
	b.ensureNamespace(t)
	const people = 8
	j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, people)
	for i := range people {
		go func() {
			errs <- j.Decide(t.Context(), journal.Decision{Revision: 1, Choice: journal.Promote, By: fmt.Sprintf("person%d", i), At: time.Now()})
		}()
	}
	won := 0
	told := map[string]bool{}
	for range people {
		switch err := <-errs; err {
		case nil:
			won++
		default:
			decided, ok := errors.AsType[*journal.DecidedError](err)
			if !ok {
				t.Fatal(err)
			}
			told[decided.By] = true
		}
	}
	if won != 1 || len(told) != 1 {
		t.Errorf("%d decisions won, and the others are told of %v", won, told)
	}
	abort := journal.Decision{Revision: 1, Choice: journal.Abort, By: "anna", At: time.Now()}
	if err := j.Decide(t.Context(), abort); err != nil {
		t.Errorf("an abort after a promotion: %v", err)
	}
	watched, stop := j.Watch(t.Context(), 1)
	defer stop()
	if cause := context.Cause(watched); cause == nil || !refusal.Is(cause) || !strings.Contains(cause.Error(), "revision 1 was aborted by anna") {
		t.Errorf("the deployment is told %v", cause)
	}

	// Decisions on revisions that are no more go when the next one begins.
	if _, err := j.Add(t.Context(), journal.Record{Deployment: pipeline.Deployment{Revision: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := j.Decisions(t.Context(), 1); err != nil || len(left) > 0 {
		t.Errorf("decisions %v, %v", left, err)
	}
}
