package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Delete gives the lease back for good. It is deleted only as the holder wrote
// it last: one that another holder has taken since, or that is gone, is left as
// it is. Not for concurrent use with Renew.
func (l *Lease) Delete(ctx context.Context) error {
	err := l.cluster.leases.Leases(l.claim.Namespace).Delete(ctx, l.claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &l.object.UID, ResourceVersion: &l.object.ResourceVersion},
	})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete lease %s: %w", l.claim.Name, err)
	}
	return nil
}
