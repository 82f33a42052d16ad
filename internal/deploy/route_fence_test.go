package deploy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

func TestARouteOfANewerDeploymentIsLeftAlone(t *testing.T) {
	b := setup(t)
	defineRoutes(t, b.cluster)
	b.write(t, webService, webRoute)
	b.deployFirst(t)
	b.write(t, webService, strings.Replace(webRoute, "port: 80", "port: 81", 1))
	b.config.reached = func(point string) {
		if point == "journal" {
			marks := fmt.Sprintf("{name: web, labels: {%s: web, %s: %s, %s: %q}}", plan.AppLabel, plan.PartOfLabel, plan.ApplySetID("web", b.namespace), plan.SequenceLabel, "9")
			b.applyAs(t, kube.FieldManager, strings.Replace(webRoute, "{name: web}", marks, 1))
		}
	}
	request := b.request()
	request.Verify.Off = true
	if d := b.deploy(t, request); d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "HTTPRoute web") || !strings.Contains(d.Message, "carries revision 9, later than this deployment's 2") {
		t.Errorf("%s: %s", d.Outcome, d.Message)
	}
}
