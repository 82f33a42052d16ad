package rollout

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// hiccupTime is how long a controller may fail for a reason that is not a
// refusal. It waits longer after each try, so one that succeeds may take a
// while to come.
const hiccupTime = 45 * time.Second

// conditionTroubles are what the Deployment says of itself.
func conditionTroubles(d *appsv1.Deployment) []kube.Trouble {
	var found []kube.Trouble
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			found = append(found, kube.Trouble{Reason: c.Reason, Message: c.Message, Grace: refusalGrace(c.Message)})
		case c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded":
			found = append(found, kube.Trouble{Reason: c.Reason, Message: c.Message, Grace: kube.SettleTime})
		}
	}
	return found
}

// refusalGrace is how long the controller may fail to make pods. What the API
// server refuses stays refused; anything else, such as a request that timed out
// on a busy API server, the controller tries again by itself.
func refusalGrace(message string) time.Duration {
	for _, refused := range []string{" is forbidden", " is invalid", "denied the request"} {
		if strings.Contains(message, refused) {
			return kube.SettleTime
		}
	}
	return hiccupTime
}
