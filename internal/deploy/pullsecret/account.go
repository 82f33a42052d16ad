package pullsecret

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// Reader reads one object; *kube.Cluster is one.
type Reader interface {
	Get(ctx context.Context, ref kube.Ref) (*unstructured.Unstructured, error)
}

// AccountSecrets is what Config.AccountSecrets may be: it asks the cluster.
// An account that is not there has none, nor has one that may not be read: what
// a pod lacks then is named by the wait for it.
func AccountSecrets(ctx context.Context, cluster Reader) func(namespace, account string) ([]string, error) {
	return func(namespace, account string) ([]string, error) {
		found, err := cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: namespace, Name: account})
		if kube.Refused(err) { // Not found is a refusal too.
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		list, _ := found.Object["imagePullSecrets"].([]any)
		return references(list), nil
	}
}
