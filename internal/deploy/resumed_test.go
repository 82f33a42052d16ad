package deploy

import (
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

// The Service of a first deployment comes with the selector that it is to have,
// so that a resumed one finds it as it is after a cut-over.
func TestAFirstCutOverThatWasKilledIsRehearsedAllTheSame(t *testing.T) {
	b := setup(t)
	b.write(t, web(webImage(t), 1, "VERSION=1")+ready, webService)
	request := b.unmeasured(plan.BlueGreen)
	request.Drain, request.Key = "warn", "first"
	b.deployKilled(t, request, "deploying apply Service web")
	d := b.deploy(t, request)
	if d.Outcome != pipeline.Succeeded || len(d.Drain) != 1 {
		t.Errorf("outcome %s, %d rehearsals: %s", d.Outcome, len(d.Drain), d.Message)
	}
}
