package kube

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// From how many objects of a kind on a list is cheaper than reading each, and
// how many others a list may bring along for each that is wanted.
const (
	listFrom   = 8
	listOthers = 4
	listPage   = 500
)

// GetAll reads many objects at once and returns those that are there, by
// Ref.ID. A kind that the cluster does not serve has no objects. Many of one
// kind and namespace are read by a list, when the account may list them and
// the namespace does not hold far more of that kind.
func (c *Cluster) GetAll(ctx context.Context, refs []Ref) (map[string]*unstructured.Unstructured, error) {
	found := &foundObjects{byID: make(map[string]*unstructured.Unstructured, len(refs))}
	lists, listing := errgroup.WithContext(ctx)
	lists.SetLimit(Parallel)
	for _, refs := range groupByResource(refs) {
		lists.Go(func() error {
			served, err := c.Resource(refs[0].GVK())
			if isUnknownKind(err) {
				return nil
			}
			if err != nil {
				return err
			}
			if len(refs) >= listFrom {
				if refs, err = c.listed(listing, served, refs, found); err != nil {
					return err
				}
			}
			found.mu.Lock()
			defer found.mu.Unlock()
			found.rest = append(found.rest, refs...)
			return nil
		})
	}
	if err := lists.Wait(); err != nil {
		return nil, err
	}
	return found.byID, c.getEach(ctx, found.rest, found)
}

// foundObjects are objects that several goroutines find.
type foundObjects struct {
	mu   sync.Mutex
	byID map[string]*unstructured.Unstructured
	rest []Ref // to be read one by one
}

func (f *foundObjects) add(ref Ref, o *unstructured.Unstructured) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byID[ref.ID()] = o
}

// groupByResource puts together what one list can bring.
func groupByResource(refs []Ref) map[Ref][]Ref {
	groups := map[Ref][]Ref{}
	for _, ref := range refs {
		key := ref
		key.Name = ""
		groups[key] = append(groups[key], ref)
	}
	return groups
}

// listed reads objects of one kind and namespace by a list. It returns those
// that must be read one by one since the list may not be had or is too long.
func (c *Cluster) listed(ctx context.Context, served Resource, refs []Ref, found *foundObjects) (rest []Ref, err error) {
	wanted := make(map[string]Ref, len(refs))
	for _, ref := range refs {
		wanted[ref.Name] = ref
	}
	options := metav1.ListOptions{Limit: listPage}
	for seen := 0; ; {
		page, err := c.page(ctx, served, refs[0].Namespace, options)
		// An expired list says that the namespace changes faster than it is read.
		if apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsResourceExpired(err) {
			return refs, nil
		}
		if err != nil {
			return nil, errors.Join(errors.New("list "+refs[0].Kind), err)
		}
		for i := range page.objects {
			if ref, ok := wanted[page.objects[i].GetName()]; ok {
				found.add(ref, &page.objects[i])
			}
		}
		seen += len(page.objects)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil, nil
		}
		if left := page.GetRemainingItemCount(); left != nil && seen+int(*left) > listPage+listOthers*len(refs) {
			return refs, nil
		}
	}
}

// getEach reads objects one by one.
func (c *Cluster) getEach(ctx context.Context, refs []Ref, found *foundObjects) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	for _, ref := range refs {
		group.Go(func() error {
			obj, err := c.Get(ctx, ref)
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			found.add(ref, obj)
			return nil
		})
	}
	return group.Wait()
}
