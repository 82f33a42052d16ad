package kubectl

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/kube"
)

// Delete removes one object and, in the background, what it owns; see
// kube.Cluster.Delete. It sends the deletion's options as they are, for no
// other form of kubectl delete can name a UID.
func (m *Method) Delete(ctx context.Context, ref kube.Ref, uid types.UID) error {
	if _, err := m.cluster.Resource(ref.GVK()); err != nil {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	i := invocation{ref: ref, args: append(m.deleteArgs(ref), "-f", "-"), body: []byte(kube.DeleteBody(uid))}
	err := kube.Retry(ctx, func(ctx context.Context) error {
		_, err := m.run(ctx, i)
		return err
	})
	if err != nil && !kube.IsNotFound(err) {
		return fmt.Errorf("delete %w", m.cluster.Explain(ref, err))
	}
	return nil
}

// DeleteCommand is the command by which Delete deletes, for the log.
func (m *Method) DeleteCommand(ref kube.Ref, uid types.UID) string {
	return "echo " + quote(kube.DeleteBody(uid)) + " | " + m.line(append(m.deleteArgs(ref), "-f", "-")...)
}

func (m *Method) deleteArgs(ref kube.Ref) []string {
	return []string{"delete", "--raw", m.cluster.Path(ref)}
}
