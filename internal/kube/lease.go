package kube

import (
	"context"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// noteAnnotation keeps what the holder of a lease is doing, for whoever is
// told to wait; keyAnnotation the piece of work for which it is held.
const (
	noteAnnotation = "towline.dev/note"
	keyAnnotation  = "towline.dev/key"
)

// LeaseClaim is who wants to hold a lease, and for what.
type LeaseClaim struct {
	Namespace string
	Name      string
	Holder    string // unique per process, such as host_pid_random
	// Key names the piece of work. A claim with the same key takes the lease
	// over at once from a holder that was killed: whoever hands out work under
	// a key hands it out once at a time.
	Key      string
	Note     string        // what the holder is doing, for people
	Duration time.Duration // of whole seconds; a lease not renewed for so long is free
	// Labels and Annotations are added to the Lease object.
	Labels      map[string]string
	Annotations map[string]string
}

// Lease is a coordination.k8s.io Lease as it was last seen, or held.
type Lease struct {
	cluster *Cluster
	claim   LeaseClaim
	object  *coordinationv1.Lease
}

// HeldError says who holds the lease that was asked for.
type HeldError struct {
	Holder string
	Key    string
	Note   string
	Since  time.Time
	// Renewed changes with every renewal. A claimant that sees the same value
	// for the lease's whole duration by its own clock may take it over, so
	// that the two machines' clocks need not agree.
	Renewed  string
	Duration time.Duration
}

func (e *HeldError) Error() string {
	text := fmt.Sprintf("held by %s since %s", e.Holder, e.Since.UTC().Format(time.RFC3339))
	if e.Note != "" {
		text += " (" + e.Note + ")"
	}
	return text
}

// AcquireLease takes a lease that is free, that is held for the same key, or
// whose last renewal is the one named by expired. Otherwise it returns a
// *HeldError. It does not wait.
func (c *Cluster) AcquireLease(ctx context.Context, claim LeaseClaim, expired string) (*Lease, error) {
	leases := c.leases.Leases(claim.Namespace)
	var current *coordinationv1.Lease
	err := retry(ctx, func(ctx context.Context) (err error) {
		current, err = leases.Get(ctx, claim.Name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		fresh := claim.write(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: claim.Name}}, true)
		created, err := leases.Create(ctx, fresh, metav1.CreateOptions{FieldManager: FieldManager})
		if err != nil {
			return nil, fmt.Errorf("create lease %s/%s: %w", claim.Namespace, claim.Name, err)
		}
		return &Lease{cluster: c, claim: claim, object: created}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get lease %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	if held := heldBy(current); held != nil && held.Renewed != expired && held.Key != claim.Key && held.Holder != claim.Holder {
		return nil, held
	}
	taken, err := leases.Update(ctx, claim.write(current.DeepCopy(), true), metav1.UpdateOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, fmt.Errorf("take lease %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return &Lease{cluster: c, claim: claim, object: taken}, nil
}

func heldBy(l *coordinationv1.Lease) *HeldError {
	if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "" {
		return nil
	}
	held := &HeldError{Holder: *l.Spec.HolderIdentity, Key: l.Annotations[keyAnnotation], Note: l.Annotations[noteAnnotation], Renewed: l.ResourceVersion}
	if l.Spec.AcquireTime != nil {
		held.Since = l.Spec.AcquireTime.Time
	}
	if l.Spec.LeaseDurationSeconds != nil {
		held.Duration = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	return held
}

func (claim LeaseClaim) write(l *coordinationv1.Lease, acquired bool) *coordinationv1.Lease {
	now := metav1.NowMicro()
	seconds := int32(claim.Duration / time.Second)
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &claim.Holder, &seconds, &now
	if acquired {
		l.Spec.AcquireTime = &now
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	maps.Copy(l.Annotations, claim.Annotations)
	l.Annotations[keyAnnotation], l.Annotations[noteAnnotation] = claim.Key, claim.Note
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	maps.Copy(l.Labels, claim.Labels)
	return l
}

// Renew tells the others that the holder lives. A *HeldError means that the
// lease has been lost to another holder, who must be left alone from now on.
// Not for concurrent use.
func (l *Lease) Renew(ctx context.Context) error {
	leases := l.cluster.leases.Leases(l.claim.Namespace)
	renewed, err := leases.Update(ctx, l.claim.write(l.object.DeepCopy(), false), metav1.UpdateOptions{FieldManager: FieldManager})
	if apierrors.IsConflict(err) {
		current, getErr := leases.Get(ctx, l.claim.Name, metav1.GetOptions{})
		if getErr != nil {
			return fmt.Errorf("get lease %s: %w", l.claim.Name, getErr)
		}
		if held := heldBy(current); held != nil && held.Holder != l.claim.Holder {
			return held
		}
		l.object = current
		renewed, err = leases.Update(ctx, l.claim.write(current.DeepCopy(), false), metav1.UpdateOptions{FieldManager: FieldManager})
	}
	if err != nil {
		return fmt.Errorf("renew lease %s: %w", l.claim.Name, err)
	}
	l.object = renewed
	return nil
}

// Release gives the lease back. A lease that another holder has taken since is
// left as it is.
func (l *Lease) Release(ctx context.Context) error {
	free := l.object.DeepCopy()
	nobody := ""
	free.Spec.HolderIdentity = &nobody
	delete(free.Annotations, noteAnnotation)
	delete(free.Annotations, keyAnnotation)
	_, err := l.cluster.leases.Leases(l.claim.Namespace).Update(ctx, free, metav1.UpdateOptions{FieldManager: FieldManager})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release lease %s: %w", l.claim.Name, err)
	}
	return nil
}
