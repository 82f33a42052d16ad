package deploy

import (
	"context"
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// pausing is a method whose holder stands still before one of its scalings, as
// a process does that gets no processor or a SIGSTOP: between the last look at
// the set and the write, which then goes out whatever has happened meanwhile.
type pausing struct {
	method
	before  int           // how many scalings come before
	stopped chan struct{} // closed when it stands still
	goOn    chan struct{} // closed to let it go on
}

func (p *pausing) Scale(ctx context.Context, ref kube.Ref, replicas int, guard kube.Guard) error {
	if p.before--; p.before == -1 {
		close(p.stopped)
		<-p.goOn
	}
	return p.method.Scale(context.WithoutCancel(ctx), ref, replicas, guard)
}

// deployPausing deploys with a method that stands still before its scaling.
func (b *bundle) deployPausing(t *testing.T, request Request, scalings int) (*pausing, <-chan ended) {
	t.Helper()
	p := &pausing{before: scalings, stopped: make(chan struct{}), goOn: make(chan struct{})}
	done := make(chan ended, 1)
	go func() {
		r := New(b.config).toDeploy(request)
		objects, err := r.ready(t.Context(), request)
		if err == nil {
			p.method, r.method = r.method, p
			err = r.underLease(t.Context(), "deploying", func(ctx context.Context) error {
				if objects, err = r.resolve(ctx, objects); err != nil {
					return err
				}
				return r.carryOut(ctx, objects, 0)
			})
		}
		d, err := r.settle(t.Context(), err)
		done <- ended{d, err}
	}()
	select {
	case <-p.stopped:
	case e := <-done:
		t.Fatalf("the deployment ended before it scaled: %+v", e)
	}
	return p, done
}

// expireLease lets the next one who asks have the lease at once, as if its
// holder had not renewed it for long enough.
func (b *bundle) expireLease(t *testing.T) {
	t.Helper()
	if err := b.cluster.Delete(t.Context(), b.ref("coordination.k8s.io/v1", "Lease", plan.LeaseName("web")), ""); err != nil {
		t.Fatal(err)
	}
}

// A holder of the lease that was paused for longer than the lease lasts wakes
// up in the middle of a drain, and the set that it drains serves again by then.
func TestAHolderThatWasPausedLeavesASetAloneThatServesAgain(t *testing.T) {
	t.Parallel()
	again := map[string]func(*testing.T, *bundle) (pipeline.Deployment, error){
		"it was aborted meanwhile": func(t *testing.T, b *bundle) (pipeline.Deployment, error) {
			d, err := New(b.config).Abort(t.Context(), b.decision("anna@laptop"))
			if d.Outcome == pipeline.Failed && d.Reverted {
				d.Outcome = pipeline.Succeeded
			}
			return d, err
		},
		"it was rolled back meanwhile": func(t *testing.T, b *bundle) (pipeline.Deployment, error) {
			return New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, To: 1, Log: b.log})
		},
	}
	for _, method := range []string{methodAPI, methodKubectl} {
		for name, bringBack := range again {
			t.Run(method+", "+name, func(t *testing.T) {
				b := setup(t)
				image := webImage(t)
				b.write(t, web(image, 2, "VERSION=1")+ready, webService)
				request := b.unmeasured(plan.BlueGreen)
				request.Method = method
				b.deployWell(t, request)
				first := b.selects(t)
				b.write(t, web(image, 2, "VERSION=2")+ready, webService)
				holder, done := b.deployPausing(t, request, 1)
				b.expireLease(t)
				if d, err := bringBack(t, b); err != nil || d.Outcome != pipeline.Succeeded {
					t.Fatalf("%s: %s, %v", name, d.Message, err)
				}
				close(holder.goOn)
				e := <-done
				if e.err == nil && e.deployment.Outcome == pipeline.Succeeded {
					t.Errorf("the holder that was paused has succeeded: %+v", e.deployment)
				}
				if sets := b.sets(t); b.selects(t) != first || sets["web-"+first] != 2 {
					t.Errorf("Service web selects set %s, and there are %v: want set %s with its 2 pods", b.selects(t), sets, first)
				}
			})
		}
	}
}

// selects is the set that Service web sends its requests to.
func (b *bundle) selects(t *testing.T) string {
	t.Helper()
	service, err := b.cluster.Get(t.Context(), b.ref("v1", "Service", "web"))
	if err != nil {
		t.Fatal(err)
	}
	return plan.SelectorOf(service)[plan.SetLabel]
}
