package rehearsal

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func TestARehearsalTellsHowAnApplicationEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, mode, spec string
		proxied          bool
		wrong            func(d pipeline.Drain) bool
	}{
		// It takes a second to end, less what passes until an answer shows that
		// it has begun to.
		{"one that asks its clients to go", "graceful", "", false, func(d pipeline.Drain) bool {
			return !d.Clean || d.Told != busyClients || d.EndSeconds < 0.5 || d.PreStop != 2
		}},
		{"one that exits at once", "naive", "", false, func(d pipeline.Drain) bool {
			return d.Clean || d.Cut == 0 || !strings.Contains(d.Sentence, "exits")
		}},
		{"one that pays no heed", "deaf", "      terminationGracePeriodSeconds: 5", false, func(d pipeline.Drain) bool {
			return d.Clean || !d.Killed || d.ExitCode != killed || d.Advice == ""
		}},
		{"one that cuts kept connections", "abrupt", "", false, func(d pipeline.Drain) bool {
			return d.Clean || d.IdleAtOnce == 0 || d.ExitCode != 0
		}},
		{"one that exits at once behind the draining proxy", "naive", "", true, func(d pipeline.Drain) bool {
			return !d.Clean || d.Told != busyClients || !d.Proxied
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			objs := s.objects(t, tt.mode, 1, tt.spec)
			if tt.proxied {
				s.proxied(t, objs)
			}
			began := time.Now()
			d, err := Run(t.Context(), s.config(t, objs))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f s: %s | %s", time.Since(began).Seconds(), d.Sentence, d.Advice)
			if d.Unmeasured != "" || d.Template != "abc" || tt.wrong(d) {
				t.Errorf("%+v", d)
			}
			waittest.Until(t, "the spare pod is gone", func() bool { return len(s.spares(t)) == 0 })
		})
	}
}

func TestNoServiceSelectsTheSparePod(t *testing.T) {
	t.Parallel()
	s := setup(t)
	objs := s.objects(t, "graceful", 1, "")
	s.apply(t, objs[1:])
	config := s.config(t, objs)
	asked := false
	config.Report = func(text string) {
		if !strings.HasPrefix(text, "delete") {
			return
		}
		asked = true
		for _, slice := range s.slices(t) {
			if len(slice.Endpoints) > 0 {
				t.Errorf("the Service has endpoints: %v", slice.Endpoints)
			}
		}
	}
	if d, err := Run(t.Context(), config); err != nil || !d.Clean || !asked {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestWhatAKilledRehearsalLeftIsRemoved(t *testing.T) {
	t.Parallel()
	s := setup(t)
	objs := s.objects(t, "graceful", 1, "")
	// A rehearsal whose process is killed while the pod starts.
	config := s.config(t, objs)
	ctx, kill := context.WithCancel(t.Context())
	r := &rehearsal{Config: config}
	var template corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(config.Template, &template); err != nil {
		t.Fatal(err)
	}
	r.spare = newSpare(spareRequest{Template: template, App: "web", Namespace: s.namespace, Port: 8080})
	left, err := r.create(ctx)
	kill()
	if err != nil || len(s.spares(t)) != 1 {
		t.Fatal(err)
	}
	if err := Sweep(t.Context(), s.cluster, s.namespace, "another"); err != nil {
		t.Fatal(err)
	}
	if pods := s.spares(t); pods[0].GetDeletionTimestamp() != nil {
		t.Error("it is another application's")
	}
	if _, err := Run(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, left.Name+" and its successor are gone", func() bool { return len(s.spares(t)) == 0 })
}

func TestWhatCannotBeMeasuredIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"a pod that does not become ready", "image cannot be pulled", func(c *Config) {
			c.Wait = func(context.Context, string) (string, error) { return "image cannot be pulled", nil }
		}},
		{"a port where nobody speaks HTTP", "port 9999 does not answer", func(c *Config) { c.Port.Number = 9999 }},
		{"a pod that the cluster refuses", "the cluster refuses a spare pod", func(c *Config) {
			c.Template = map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "Not Valid", "image": "a"}}}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			config := s.config(t, s.objects(t, "graceful", 1, ""))
			tt.change(&config)
			d, err := Run(t.Context(), config)
			if err != nil || !strings.Contains(d.Unmeasured, tt.want) || !strings.Contains(d.Sentence, tt.want) || d.Clean {
				t.Errorf("%+v, %v", d, err)
			}
			waittest.Until(t, "the spare pod is gone", func() bool { return len(s.spares(t)) == 0 })
		})
	}
}

func TestARehearsalThatIsStoppedRemovesItsPod(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	config := s.config(t, s.objects(t, "graceful", 1, ""))
	config.Wait = func(ctx context.Context, _ string) (string, error) {
		stop()
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	if d, err := Run(ctx, config); err == nil {
		t.Errorf("%+v", d)
	}
	waittest.Until(t, "the spare pod is gone", func() bool { return len(s.spares(t)) == 0 })
}
