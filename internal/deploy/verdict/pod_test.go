package verdict

import (
	"context"
	"errors"
	"testing"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// A shutdown while the prober's pod is waited for is no failure of what is
// deployed: the deployment can be taken up again.
func TestTheEndOfAWaitForTheProberIsARefusalOnlyWhenItsCauseIs(t *testing.T) {
	t.Parallel()
	p := &podProber{config: Config{Cluster: kubetest.Connect(t)}, place: kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "towline-probe-none"}}
	for _, cause := range []error{errors.New("the server shuts down"), context.Canceled, refusal.Deadline("it has not begun within 1m")} {
		ctx, end := context.WithCancelCause(t.Context())
		end(cause)
		for name, err := range map[string]error{"running": p.running(ctx), "attach": p.attach(ctx, "token")} {
			if err == nil || refusal.Is(err) != refusal.Is(cause) {
				t.Errorf("%s, because %v: error %v, a refusal: %t", name, cause, err, refusal.Is(err))
			}
		}
	}
}
