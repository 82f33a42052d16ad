package kube_test

import (
	"testing"
	"time"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func TestALeaseIsDeletedByItsHolderOnly(t *testing.T) {
	cluster := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, cluster)
	claim := func(holder, key string) kube.LeaseClaim {
		return kube.LeaseClaim{Namespace: namespace, Name: "web", Holder: holder, Key: key, Duration: time.Minute}
	}
	acquire := func(holder string) *kube.Lease {
		t.Helper()
		lease, err := cluster.AcquireLease(t.Context(), claim(holder, "the same"), "")
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	first := acquire("anna")
	second := acquire("bert") // The same key takes it over.
	if err := first.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Renew(t.Context()); err != nil {
		t.Errorf("the lease of its new holder is gone: %v", err)
	}
	if err := second.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Delete(t.Context()); err != nil {
		t.Errorf("it was gone already: %v", err)
	}
	// Whoever saw it before must not bring it back by a write.
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Renew(t.Context()); err == nil {
		t.Error("a lease that was deleted is renewed")
	}
	third := acquire("carl")
	if err := third.Renew(t.Context()); err != nil {
		t.Error(err)
	}
}
