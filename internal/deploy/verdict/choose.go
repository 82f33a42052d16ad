// Package verdict measures what a deployment loses. Its noun is the verdict: how
// many of the requests that went through the deployment were lost, and why. A
// Watchman sends them, from before the first change until after the last one,
// and tells the deployment to stop when more is lost than the budget allows.
//
// It stands beside the steps of a deployment: deploy chooses what to send
// requests to (Choose), begins before the first change, marks on the timeline
// what it does, and concludes when the new pods serve. The requests come from
// this process, through the API server's proxy or from a pod (package probe
// sends them), whichever way is open. A pod goes on while its deployer is dead,
// and whoever takes the deployment up goes on counting with it.
//
// It knows a cluster, one Service and what verify says of it; plans, strategies
// and the journal are not its business.
package verdict

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// Config is what a Watchman needs to know of its deployment.
type Config struct {
	Cluster   *kube.Cluster
	Log       *runbook.Runbook
	App       string
	Namespace string
	Revision  int
	Verify    pipeline.Verify
	// Resumed says that another process has begun this very deployment and may
	// have left a prober behind.
	Resumed bool
	// Before is what that process had counted, nil when that is not known.
	Before *Counted
	// AgentImage is the reference of the image of a prober in a pod; nil means
	// that there is none.
	AgentImage func(context.Context) (string, error)
	// Host begins the names of the images that only Password lets pods pull; see
	// pullsecret.Config.
	Host     string
	Password func(repositories ...string) (string, error)
	// Unschedulable is how long the prober's pod may find no node.
	Unschedulable time.Duration
	// Longest is how long the deployment may wait in all, for its pods and for
	// people: a prober's pod outlives it.
	Longest time.Duration
}

// Choose finds what to send requests to, nil when nothing is to be sent.
// Nothing is asked and nothing sent yet; what cannot be right is a refusal.
func Choose(objects []manifest.Object, config Config) (*Watchman, error) {
	w, err := choose(objects, config)
	if w != nil && config.Verify.From == fromPod && config.AgentImage == nil {
		return nil, errNoImage() // now, and not once the new pods serve
	}
	return w, err
}

func choose(objects []manifest.Object, config Config) (*Watchman, error) {
	verify := config.Verify
	if verify.Off {
		return nil, nil
	}
	if err := checkVerify(verify); err != nil {
		return nil, err
	}
	w := &Watchman{Config: config, resumed: config.Resumed}
	if verify.URL != "" {
		return w, nil
	}
	if verify.Service != "" {
		listed := slices.ContainsFunc(manifest.Services(objects), func(o manifest.Object) bool { return o.GetName() == verify.Service })
		w.service, w.foreign = verify.Service, !listed
		return w, nil
	}
	var names, exposed []string
	for _, s := range serving(objects) {
		names = append(names, s.GetName())
		if kind, _ := s.Object["spec"].(map[string]any)["type"].(string); kind == "NodePort" || kind == "LoadBalancer" {
			exposed = append(exposed, s.GetName())
		}
	}
	switch {
	case len(names) == 0:
		return nil, nil
	case len(names) == 1:
		w.service = names[0]
		return w, nil
	case len(exposed) == 1:
		w.service = exposed[0]
		return w, nil
	}
	return nil, refusal.New("the application has several Services (%s) and it is not said which one to measure: "+
		"set verify.service in the deploy action, or verify.off to measure nothing", strings.Join(names, ", "))
}

// serving are the Services that send requests to a Deployment's pods.
func serving(objects []manifest.Object) []manifest.Object {
	return manifest.Selecting(manifest.Services(objects), manifest.OfKind(objects, "apps", "Deployment"))
}

// Name is what the requests are sent to, as a plan has it.
func (w *Watchman) Name() string {
	if w.Verify.URL != "" {
		return shownURL(w.Verify.URL)
	}
	return "Service " + w.service
}

// Rate is how many requests are sent in a second.
func (w *Watchman) Rate() int { return cmp.Or(w.Verify.Rate, probe.DefaultRate) }
