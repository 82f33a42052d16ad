package kube

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTransientIsWhatSaysNothingAboutTheRequest(t *testing.T) {
	t.Parallel()
	broken := func(op string, err error) error {
		return &url.Error{Op: http.MethodPatch, URL: "https://10.0.0.1:6443/api", Err: &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, err)}}
	}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nobody listens", broken("dial", syscall.ECONNREFUSED), true},
		{"cut off while it answers", broken("read", syscall.ECONNRESET), true},
		{"cut off while it is asked", broken("write", syscall.EPIPE), true},
		{"closed before the answer", &url.Error{Op: http.MethodGet, URL: "https://10.0.0.1:6443/api", Err: io.EOF}, true},
		{"too many requests", apierrors.NewTooManyRequests("slow down", 1), true},
		{"broken inside", apierrors.NewInternalError(errors.New("etcd")), true},
		{"a field that its kind does not have", &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema",
		}}, false},
		{"an object that is not valid", apierrors.NewBadRequest("no"), false},
		{"stopped by us", &url.Error{Op: http.MethodGet, URL: "https://10.0.0.1:6443/api", Err: context.Canceled}, false},
		{"a host that is none", broken("dial", syscall.EAFNOSUPPORT), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Transient(c.err); got != c.want {
				t.Errorf("transient %t, want %t: %v", got, c.want, c.err)
			}
		})
	}
}
