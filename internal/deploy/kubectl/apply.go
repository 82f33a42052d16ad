package kubectl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// Apply sends the object by kubectl apply --server-side and returns it as the
// cluster then has it; see kube.Cluster.Apply. Fields that were once written by
// kubectl apply without --server-side are taken over on the way, as kubectl
// does.
func (m *Method) Apply(ctx context.Context, obj *unstructured.Unstructured, options kube.ApplyOptions) (*unstructured.Unstructured, error) {
	ref := kube.RefOf(obj)
	body, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", ref, err)
	}
	i := invocation{ref: ref, body: body, args: append(applyArgs(ref, options), "-f", "-", "-o", "json", "--show-managed-fields")}
	applied := &unstructured.Unstructured{}
	err = kube.Retry(ctx, func(ctx context.Context) (err error) {
		applied, err = m.object(ctx, i)
		return err
	})
	if err != nil {
		return nil, m.cluster.Explain(ref, err)
	}
	return applied, nil
}

// ApplyCommand is the command by which Apply applies an object that is in a
// file, for the log. guarded tells that the object carries the resourceVersion
// that it must still have.
func (m *Method) ApplyCommand(ref kube.Ref, options kube.ApplyOptions, guarded bool) string {
	text := m.line(append(applyArgs(ref, options), "-f", fileName(ref))...)
	if guarded {
		text += kube.Guarded
	}
	return text
}

func applyArgs(ref kube.Ref, options kube.ApplyOptions) []string {
	args := append(inNamespace(ref), "apply", "--server-side", "--field-manager="+cmp.Or(options.Manager, kube.FieldManager))
	if options.Force {
		args = append(args, "--force-conflicts")
	}
	if options.DryRun {
		args = append(args, "--dry-run=server")
	}
	return args
}

// object runs a command that prints one object.
func (m *Method) object(ctx context.Context, i invocation) (*unstructured.Unstructured, error) {
	said, err := m.run(ctx, i)
	if err != nil {
		return nil, err
	}
	printed := &unstructured.Unstructured{}
	if err := printed.UnmarshalJSON(said); err != nil {
		return nil, fmt.Errorf("read what kubectl prints: %w", err)
	}
	return printed, nil
}

func inNamespace(ref kube.Ref) []string {
	if ref.Namespace == "" {
		return nil
	}
	return []string{"-n", ref.Namespace}
}

// fileName is what a file with an object could be called.
func fileName(ref kube.Ref) string {
	return strings.ReplaceAll(ref.Name, ":", "-") + "-" + strings.ToLower(ref.Kind) + ".yaml"
}
