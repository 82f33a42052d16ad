package rehearsal

import (
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// The policies of a deployment for what its rehearsal finds out.
const (
	PolicyWarn    = "warn"
	PolicyRequire = "require"
	PolicyProxy   = "proxy"
	PolicyOff     = "off"
)

// Decide says whether a deployment goes on, and what to tell people about it;
// nothing when there is nothing to tell. With the policy proxy a rehearsal
// without the proxy decides nothing but whether the pods get one.
func Decide(policy string, d pipeline.Drain) (proceed bool, message string) {
	found := d.Sentence
	if d.Advice != "" {
		found += "; " + d.Advice
	}
	known := d.Unmeasured == ""
	switch policy {
	case PolicyOff:
		return true, ""
	case PolicyRequire:
		if known && d.Clean {
			return true, found
		}
		return false, "drain: require stops the deployment: " + found
	case PolicyProxy:
		if known && d.Proxied && !d.Clean {
			return false, "drain: proxy stops the deployment: " + found
		}
		if NeedsProxy(policy, d) {
			return true, "the pods get a draining proxy: " + found
		}
		return true, found
	}
	if known && d.Clean {
		return true, found
	}
	return true, "warning: " + found
}

// NeedsProxy tells whether the pods must get the draining proxy. What could
// not be measured is taken to need it.
func NeedsProxy(policy string, d pipeline.Drain) bool {
	return policy == PolicyProxy && !d.Proxied && (d.Unmeasured != "" || !d.Clean)
}

// Cause names in one sentence why requests on kept connections were lost in a
// deployment; empty when none were. The rehearsal may be missing.
func Cause(d *pipeline.Drain, v pipeline.Verdict) string {
	lost := v.KeepAlive.Lost
	if lost == 0 {
		return ""
	}
	where := fmt.Sprintf("%d of the %d lost requests were", lost, v.Lost)
	if lost == v.Lost {
		where = fmt.Sprintf("all %d lost requests were", lost)
		if lost == 1 {
			where = "the lost request was"
		}
	}
	where += " on connections that their clients keep open"
	switch {
	case d == nil || d.Unmeasured != "":
		return where + ": an application that closes these when it ends, without having told its clients, loses what is on its way; no rehearsal says whether this one does"
	case d.Clean:
		return where + ", though the drain rehearsal lost none: something between the clients and the pods closes them, or a request took longer than the pod waited"
	}
	return where + ", as the drain rehearsal foretold: " + d.Sentence
}
