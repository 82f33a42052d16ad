package rehearsal

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

// No way to the spare pod is no fault of a deployment that only warns.
func TestAPodThatCannotBeReachedIsNotMeasured(t *testing.T) {
	t.Parallel()
	s := setup(t)
	objs := s.objects(t, "graceful", 1, "")
	for _, tt := range []struct {
		name, want string
		change     func(*testing.T, *Config)
	}{
		{"a cluster that forwards no ports", "pods/portforward|forward ports of pod", func(t *testing.T, c *Config) {
			c.Cluster = kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Broken, Resource: "pods/portforward", Count: -1}}}).Cluster
		}},
		{"a connection that is refused", "connect to the spare pod: no route to host", func(_ *testing.T, c *Config) {
			c.Dial = func(context.Context, *corev1.Pod, int) (net.Conn, error) { return nil, errors.New("no route to host") }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := s.config(t, objs)
			tt.change(t, &config)
			d, err := Run(t.Context(), config)
			found := false
			for want := range strings.SplitSeq(tt.want, "|") {
				found = found || strings.Contains(d.Unmeasured, want)
			}
			if err != nil || !found || d.Clean {
				t.Errorf("%+v, %v", d, err)
			}
			for policy, want := range map[string]bool{PolicyWarn: true, PolicyRequire: false} {
				if proceed, message := Decide(policy, d); proceed != want || !strings.Contains(message, d.Unmeasured) {
					t.Errorf("drain: %s goes on: %t, %s", policy, proceed, message)
				}
			}
			waittest.Until(t, "the spare pod is gone", func() bool { return len(s.spares(t)) == 0 })
		})
	}
	t.Run("a node that does not say that the pod has ended", func(t *testing.T) {
		r := &rehearsal{Config: s.config(t, objs)}
		r.spare = spare{pod: &corev1.Pod{}, own: -goneTime}
		r.spare.pod.Name = "web-rehearsal-none"
		_, _, err := r.awaitEnd(t.Context())
		if _, ok := errors.AsType[*unmeasured](err); !ok || !strings.Contains(err.Error(), "its node may be away") {
			t.Errorf("error %v, want that nothing was measured", err)
		}
	})
	t.Run("the end of the deployment is an error all the same", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		config := s.config(t, objs)
		config.Dial = func(context.Context, *corev1.Pod, int) (net.Conn, error) {
			stop()
			return nil, errors.New("no route to host")
		}
		if d, err := Run(ctx, config); err == nil {
			t.Errorf("%+v", d)
		}
		waittest.Until(t, "the spare pod is gone", func() bool { return len(s.spares(t)) == 0 })
	})
}
