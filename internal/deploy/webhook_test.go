package deploy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/waittest"
)

// admission is what a webhook does with a request.
type admission int

const (
	allow admission = iota
	deny
	hang // until the API server gives up
)

// webhook lets the API server ask this process about each write to pods and
// Deployments of the test's namespace, from when it returns to the end of the
// test.
func (b *bundle) webhook(t *testing.T, judge func(r *admissionv1.AdmissionRequest) admission) {
	t.Helper()
	server, err := url.Parse(b.cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	certificate, authority := issue(t, net.ParseIP(server.Hostname()))
	listener, err := tls.Listen("tcp", net.JoinHostPort(server.Hostname(), "0"), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	ended := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		asked.Store(true)
		answer := judge(review.Request)
		if answer == hang {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: answer == allow, Result: &metav1.Status{Message: "no pod without an owner: ask the platform team"}}
		_ = json.NewEncoder(w).Encode(review)
	})
	serving := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = serving.Serve(listener) }()
	b.register(t, "https://"+listener.Addr().String()+"/", authority)
	t.Cleanup(func() {
		close(ended)
		_ = serving.Close()
	})
	probe := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "probe", "namespace": b.namespace}}}
	waittest.Until(t, "the API server asks the webhook", func() bool {
		_, _ = b.cluster.Apply(t.Context(), probe, kube.ApplyOptions{DryRun: true})
		return asked.Load()
	})
}

// register tells the API server of a webhook until the end of the test.
func (b *bundle) register(t *testing.T, address string, authority []byte) {
	t.Helper()
	config := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": map[string]any{"name": b.namespace},
		"webhooks": []any{map[string]any{
			"name": "owners.towline.dev", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": int64(1),
			"clientConfig":      map[string]any{"url": address, "caBundle": authority},
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": b.namespace}},
			"rules": []any{map[string]any{
				"operations": []any{"CREATE", "UPDATE"}, "apiGroups": []any{"", "apps"}, "apiVersions": []any{"v1"}, "resources": []any{"pods", "deployments", "configmaps"},
			}},
		}},
	}}
	if _, err := b.cluster.Apply(t.Context(), config, kube.ApplyOptions{Manager: "towline-test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.cluster.Delete(context.WithoutCancel(t.Context()), kube.RefOf(config), ""); err != nil {
			t.Error(err)
		}
	})
}

// issue makes an authority, in its PEM form, and a certificate of it for one
// address.
func issue(t *testing.T, address net.IP) (tls.Certificate, []byte) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	authorityKey, key := newKey(), newKey()
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "towline test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authorityDER := sign(authority, authority, authorityKey, authorityKey)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("webhook at ", address)}, IPAddresses: []net.IP{address}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	certificate := tls.Certificate{Certificate: [][]byte{sign(leaf, authority, key, authorityKey)}, PrivateKey: key}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})
}
