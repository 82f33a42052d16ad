package kubectl

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/towline/towline/internal/kube"
)

// Scale sets how many replicas an object should have; see kube.Cluster.Scale.
// It is a patch of the scale subresource: kubectl scale writes the same, but
// under a field manager of its own.
func (m *Method) Scale(ctx context.Context, ref kube.Ref, replicas int, guard kube.Guard) error {
	i := invocation{ref: ref, args: append(m.scaleArgs(ref, replicas, guard), "-o", "name")}
	err := kube.Retry(ctx, func(ctx context.Context) error {
		_, err := m.run(ctx, i)
		return err
	})
	if err != nil {
		return fmt.Errorf("scale %w", m.cluster.Explain(ref, err))
	}
	return nil
}

// ScaleCommand is the command by which Scale scales, for the log.
func (m *Method) ScaleCommand(ref kube.Ref, replicas int) string {
	return m.line(m.scaleArgs(ref, replicas, kube.Guard{})...) + kube.Guarded
}

func (m *Method) scaleArgs(ref kube.Ref, replicas int, guard kube.Guard) []string {
	return append(inNamespace(ref), "patch", m.resource(ref)+"/"+ref.Name, "--subresource=scale", "--type=merge",
		"--field-manager="+kube.FieldManager, "-p", kube.ScalePatch(replicas, guard))
}

// resource is how kubectl calls a kind: deployments.apps, services.
func (m *Method) resource(ref kube.Ref) string {
	served, err := m.cluster.Resource(ref.GVK())
	if err != nil { // The command will say why.
		served.GVR, _ = meta.UnsafeGuessKindToResource(ref.GVK())
	}
	return served.GVR.GroupResource().String()
}
