package deploy

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

func TestARefusedFirstDeploymentLeavesNoLease(t *testing.T) {
	b := setup(t)
	lease := b.ref("coordination.k8s.io/v1", "Lease", plan.LeaseName("web"))
	const refused = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {text: {no: text}}\n"
	b.write(t, refused)
	if d := b.deploy(t, b.request()); d.Outcome != pipeline.Failed || d.Revision != 0 {
		t.Fatalf("outcome %s of revision %d: %s", d.Outcome, d.Revision, d.Message)
	}
	if _, err := b.cluster.Get(t.Context(), lease); !apierrors.IsNotFound(err) {
		t.Errorf("the lease is there: %v", err)
	}
	b.write(t, fmt.Sprintf(settings, "hello"))
	b.deployWell(t, b.request())
	b.write(t, refused)
	if d := b.deploy(t, b.request()); d.Outcome != pipeline.Failed {
		t.Fatalf("outcome %s: %s", d.Outcome, d.Message)
	}
	if _, err := b.cluster.Get(t.Context(), lease); err != nil {
		t.Errorf("the lease of an application with revisions is gone: %v", err)
	}
}
