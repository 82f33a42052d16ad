package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

// stopped deploys until a point is reached, at which the person stops it.
func (b *bundle) stopped(t *testing.T, request Request, point string) pipeline.Deployment {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	config := b.config
	config.reached = func(reached string) {
		if reached == point {
			stop()
		}
	}
	d, err := New(config).Deploy(ctx, request)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped at %q: %+v, %v", point, d, err)
	}
	return d
}

func TestADeploymentThatWasStopped(t *testing.T) {
	t.Parallel()
	const point = "deploying apply ConfigMap settings"
	t.Run("goes on when the same is asked for again", func(t *testing.T) {
		b := setup(t)
		b.write(t, extra, fmt.Sprintf(settings, "hello"), webService)
		request := b.request()
		request.TakeUp = true
		if d := b.stopped(t, request, point); d.Revision != 1 {
			t.Errorf("%+v", d)
		}
		if d := b.deployWell(t, request); d.Revision != 1 {
			t.Errorf("a second revision was made: %+v", d)
		}
		if d := b.deployWell(t, request); d.Revision != 2 {
			t.Errorf("what has ended is deployed again: %+v", d)
		}
	})
	t.Run("is closed when something else is asked for", func(t *testing.T) {
		b := setup(t)
		b.write(t, extra, fmt.Sprintf(settings, "hello"), webService)
		request := b.request()
		request.TakeUp = true
		b.stopped(t, request, point)
		b.write(t, extra, fmt.Sprintf(settings, "bonjour"), webService)
		if d := b.deployWell(t, request); d.Revision != 2 {
			t.Errorf("%+v", d)
		}
		history, err := New(b.config).History(t.Context(), b.namespace, "web")
		if err != nil || history[1].Outcome != pipeline.Failed || !strings.Contains(history[1].Message, "interrupted") {
			t.Errorf("%+v, %v", history, err)
		}
	})
	t.Run("changed nothing before it was in the journal", func(t *testing.T) {
		b := setup(t)
		b.write(t, extra)
		if d := b.stopped(t, b.request(), "dry-run"); d.Revision != 0 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("is brought back by an abort", func(t *testing.T) {
		b := setup(t)
		b.write(t, fmt.Sprintf(settings, "hello"))
		b.deployWell(t, b.request())
		b.write(t, extra, fmt.Sprintf(settings, "bonjour"), webService)
		b.stopped(t, b.request(), point)
		if got := b.data(t, "settings")["greeting"]; got != "bonjour" {
			t.Fatalf("greeting %q before the abort", got)
		}
		d, err := New(b.config).Abort(t.Context(), b.decision("anna@laptop"))
		if err != nil || !d.Reverted || d.Revision != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		if got := b.data(t, "settings")["greeting"]; got != "hello" {
			t.Errorf("greeting %q after the abort", got)
		}
		b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))
	})
	t.Run("stays as it is when another one is refused", func(t *testing.T) {
		b := setup(t)
		b.write(t, extra, fmt.Sprintf(settings, "hello"), webService)
		b.stopped(t, b.request(), point)
		b.write(t, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 99999}]}")
		if d := b.deploy(t, b.request()); d.Outcome != pipeline.Failed || d.Revision != 0 {
			t.Errorf("%+v", d)
		}
		history, err := New(b.config).History(t.Context(), b.namespace, "web")
		if err != nil || len(history) != 1 || history[0].Outcome != "" {
			t.Errorf("%+v, %v", history, err)
		}
	})
}
