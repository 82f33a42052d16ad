package deploy

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/kubectl"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
)

// methodKubectl is the other way to write beside methodAPI: two ways, one plan.
const methodKubectl = "kubectl"

// method carries the writes of a plan out. Reading is always by the API.
type method interface {
	plan.Commands
	Apply(ctx context.Context, object *unstructured.Unstructured, options kube.ApplyOptions) (*unstructured.Unstructured, error)
	Create(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error)
	Scale(ctx context.Context, ref kube.Ref, replicas int, guard kube.Guard) error
	Delete(ctx context.Context, ref kube.Ref, uid types.UID) error
}

// choose takes the method of the record.
func (r *run) choose(ctx context.Context) (err error) {
	if r.record.Method == methodKubectl {
		r.method, err = kubectl.New(ctx, kubectl.Config{Cluster: r.Cluster, Path: r.Kubectl})
		return err
	}
	r.method = r.Cluster
	return nil
}
