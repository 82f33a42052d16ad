package kube

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "k8s.io/apimachinery/pkg/util/json"
)

// List reads the objects of one kind in a namespace (empty: in all, or of a
// cluster-scoped kind) that a label selector names (empty: all).
func (c *Cluster) List(ctx context.Context, gvk schema.GroupVersionKind, namespace, selector string) ([]unstructured.Unstructured, error) {
	served, err := c.Resource(gvk)
	if err != nil {
		return nil, err
	}
	found, err := c.page(ctx, served, namespace, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list %s in namespace %q: %w", served.GVR.Resource, namespace, err)
	}
	return found.objects, nil
}

// page is one answer to a list.
type page struct {
	metav1.ListMeta
	objects []unstructured.Unstructured
}

// page asks for a list, or one page of it. The dynamic client would go over the
// answer four times, and over each object in it twice more, which of a thousand
// objects is most of what reading them takes.
func (c *Cluster) page(ctx context.Context, served Resource, namespace string, options metav1.ListOptions) (page, error) {
	var answer []byte
	err := retry(ctx, func(ctx context.Context) (err error) {
		result := c.core.RESTClient().Get().AbsPath(served.root()).NamespaceIfScoped(namespace, served.Namespaced && namespace != "").
			Resource(served.GVR.Resource).VersionedParams(&options, metav1.ParameterCodec).SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx)
		if err = result.Error(); err == nil { // Raw alone would not read what a refusal says.
			answer, err = result.Raw()
		}
		return err
	})
	if err != nil {
		return page{}, err
	}
	var list struct {
		metav1.ListMeta `json:"metadata"`
		Items           []map[string]any `json:"items"`
	}
	if err := kjson.Unmarshal(answer, &list); err != nil {
		return page{}, fmt.Errorf("read the list: %w", err)
	}
	found := page{ListMeta: list.ListMeta, objects: make([]unstructured.Unstructured, len(list.Items))}
	for i, item := range list.Items {
		if item == nil {
			return page{}, errors.New("read the list: one of its items is null")
		}
		o := unstructured.Unstructured{Object: item}
		if o.GetKind() == "" { // Kubernetes' own kinds are named by the list alone.
			o.SetAPIVersion(served.GVR.GroupVersion().String())
			o.SetKind(served.Kind)
		}
		found.objects[i] = o
	}
	return found, nil
}
