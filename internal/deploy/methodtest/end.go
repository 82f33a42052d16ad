package methodtest

import (
	"context"
	"errors"
	"testing"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// end asks what happens when the context of a write ends.
func (s *suite) end(t *testing.T) {
	enough := errors.New("enough")
	write := func(ctx context.Context, m Method) error {
		_, err := m.Apply(ctx, s.configMap(t, "ended", "one"), kube.ApplyOptions{})
		return err
	}
	t.Run("a context that has ended writes nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if err := write(ctx, s.method); !errors.Is(err, enough) || kube.Refused(err) {
			t.Errorf("refused %t: %v", kube.Refused(err), err)
		}
		if _, err := s.cluster.Get(t.Context(), kube.RefOf(s.configMap(t, "ended", ""))); !kube.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
		}
	})
	t.Run("a write that hangs ends with its context", func(t *testing.T) {
		proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Slow, Verb: "patch", Resource: "configmaps", Count: -1, For: hang}}})
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- write(ctx, s.newMethod(proxy.Cluster)) }()
		for len(proxy.Hits()) == 0 {
			select {
			case err := <-done:
				t.Fatalf("it ended by itself: %v", err)
			case <-tick(t):
			}
		}
		cancel(enough)
		if err := <-done; !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	})
}
