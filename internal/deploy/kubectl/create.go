package kubectl

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// Create makes an object that must not be there yet; see kube.Cluster.Create.
func (m *Method) Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ref := kube.RefOf(obj)
	return m.cluster.CreateBy(ctx, obj, func(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		body, err := json.Marshal(obj.Object)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", ref, err)
		}
		return m.object(ctx, invocation{ref: ref, body: body, args: append(createArgs(ref), "-f", "-", "-o", "json", "--show-managed-fields")})
	})
}

// CreateCommand is the command by which Create makes an object that is in a
// file, for the log.
func (m *Method) CreateCommand(ref kube.Ref) string {
	return m.line(append(createArgs(ref), "-f", fileName(ref))...)
}

func createArgs(ref kube.Ref) []string {
	return append(inNamespace(ref), "create", "--field-manager="+kube.FieldManager)
}
