package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// slice deploys until some time after a text has come into the log, or to the
// end.
func (b *bundle) slice(t *testing.T, request Request, after func(line string) bool, d time.Duration) (pipeline.Deployment, string, error) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	var log waittest.Log
	request.Log = &log
	request.Progress = func(line string) {
		if after(line) {
			time.AfterFunc(d, func() { stop(pipeline.ErrShutdown) })
		}
	}
	made, err := New(b.config).Deploy(ctx, request)
	fmt.Fprint(b.log, log.String())
	return made, log.String(), err
}

// second brings the first revision to the cluster by a request and writes the
// manifests of a second one, which it asks for to be deployed in slices.
func (b *bundle) second(t *testing.T, first Request) Request {
	t.Helper()
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	b.deployFirst(t, first)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService)
	request := b.unmeasured(plan.BlueGreen)
	request.Key = "slices"
	return request
}

// waits tells of the line that begins to let a time pass.
func waits(line string) bool {
	return strings.HasPrefix(line, "propagation: ") || strings.HasPrefix(line, "keep: ")
}

// Each of its waits is longer than a slice has for it, so that a deployment
// whose waits began anew would never end.
func TestADeploymentInSlicesGoesOnWithItsWaits(t *testing.T) {
	b := setup(t)
	request := b.second(t, b.unmeasured(plan.BlueGreen))
	request.Propagation, request.ScaleDownDelay = "5s", "5s"
	var log string
	for slices := 1; ; slices++ {
		d, said, err := b.slice(t, request, waits, 2*time.Second)
		log += said
		if err == nil {
			if d.Outcome != pipeline.Succeeded || d.Revision != 2 || slices < 4 {
				t.Errorf("after %d slices: %+v", slices, d)
			}
			break
		}
		if !errors.Is(err, pipeline.ErrShutdown) || slices == 20 {
			t.Fatalf("slice %d: %v", slices, err)
		}
		if stalled, ok := errors.AsType[*StalledError](err); ok {
			t.Errorf("slice %d, which waited: %v", slices, stalled)
		}
	}
	if !strings.Contains(log, "of 5s have passed before") {
		t.Error("no slice went on with a wait")
	}
}

// Nodes may not have heard yet of endpoints that have changed between two
// slices.
func TestAWaitBeginsAnewWhenTheEndpointsHaveChanged(t *testing.T) {
	b := setup(t)
	request := b.second(t, b.request())
	request.Propagation = "4s"
	if d, _, err := b.slice(t, request, waits, 2*time.Second); !errors.Is(err, pipeline.ErrShutdown) {
		t.Fatalf("%+v, %v", d, err)
	}
	pods, err := b.cluster.Pods(t.Context(), b.namespace, plan.SetLabel)
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods of sets, %v", len(pods), err)
	}
	if err := b.cluster.Delete(t.Context(), b.ref("v1", "Pod", pods[0].Name), pods[0].UID); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "another pod has taken its place", func() bool {
		now, err := b.cluster.Pods(t.Context(), b.namespace, plan.SetLabel)
		return err == nil && len(now) == 1 && now[0].UID != pods[0].UID
	})
	d, log, err := b.slice(t, request, func(string) bool { return false }, 0)
	if err != nil || d.Outcome != pipeline.Succeeded {
		t.Fatalf("%+v, %v", d, err)
	}
	if strings.Contains(log, "have passed before") {
		t.Error("it counts a wait for other endpoints")
	}
}

// What cannot be divided is told of, so that whoever gives the slices can say
// that they are too short.
func TestASliceThatGetsNoFurtherSaysSo(t *testing.T) {
	b := setup(t)
	request := b.second(t, b.request())
	request.Drain = "warn"
	rehearses := func(line string) bool { return strings.Contains(line, "spare pod") }
	var stalled *StalledError
	if _, _, err := b.slice(t, request, rehearses, 0); !errors.Is(err, pipeline.ErrShutdown) || errors.As(err, &stalled) {
		t.Fatalf("the first slice, which made the set: %v", err)
	}
	if _, _, err := b.slice(t, request, rehearses, 0); !errors.As(err, &stalled) || stalled.What != "the rehearsal" {
		t.Errorf("the second slice, which got no further: %v", err)
	}
	if d := b.deploy(t, request); d.Outcome != pipeline.Succeeded || d.Revision != 2 {
		t.Errorf("%+v", d)
	}
}
