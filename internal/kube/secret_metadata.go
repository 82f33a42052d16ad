package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// metadataPage is how many Secrets' metadata one answer brings. Each may have
// 256 KiB of annotations.
const metadataPage = 100

// SecretQuery says which Secrets are asked for.
type SecretQuery struct {
	Namespace string // "" is all
	Selector  string // of labels
	Type      corev1.SecretType
	Most      int // 0 is all
}

// SecretsMetadata lists Secrets without what is in them: names, labels and
// annotations. It needs the right to list them all the same.
func (c *Cluster) SecretsMetadata(ctx context.Context, q SecretQuery) ([]metav1.ObjectMeta, error) {
	client, err := metadata.NewForConfigAndClient(metadata.ConfigFor(c.config), c.http)
	if err != nil {
		return nil, fmt.Errorf("use cluster %q: %w", c.Context, err)
	}
	secrets := client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(q.Namespace)
	options := metav1.ListOptions{LabelSelector: q.Selector, FieldSelector: "type=" + string(q.Type), Limit: metadataPage}
	if q.Most > 0 {
		options.Limit = min(options.Limit, int64(q.Most))
	}
	var found []metav1.ObjectMeta
	for {
		var page *metav1.PartialObjectMetadataList
		err := retry(ctx, func(ctx context.Context) (err error) {
			page, err = secrets.List(ctx, options)
			return err
		})
		if err != nil {
			where := "namespace " + q.Namespace
			if q.Namespace == "" {
				where = "all namespaces"
			}
			return nil, fmt.Errorf("list secrets of %s: %w", where, err)
		}
		for i := range page.Items {
			found = append(found, page.Items[i].ObjectMeta)
		}
		options.Continue = page.Continue
		if options.Continue == "" || q.Most > 0 && len(found) >= q.Most {
			return found, nil
		}
	}
}
