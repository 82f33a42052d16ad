package kube

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// unauthorized says which credential a request brought and what is to be seen
// of it that the API server may not like.
func (e *explainer) unauthorized(request *http.Request, isKubernetes bool) string {
	saw, mend := e.presented(request)
	text := "the API server refuses the credentials (401 Unauthorized): " + saw
	if !isKubernetes {
		text = "what stands before the API server refuses the credentials (401 Unauthorized): " + saw
	}
	if mend == "" {
		mend = e.renew()
	}
	return text + ". " + mend
}

// renew is how a credential is given anew.
func (e *explainer) renew() string {
	switch {
	case e.mounted:
		return "The kubelet renews it: check that the pod and its service account have not been deleted"
	case e.stored:
		return "Give a new one with `towline cluster add NAME --replace`"
	case e.config.ExecProvider != nil:
		return fmt.Sprintf("It came from the exec plugin %s of the kubeconfig: run that by hand to see what it says", filepath.Base(e.config.ExecProvider.Command))
	}
	return "Renew the user of this context in the kubeconfig"
}

// presented describes what was sent, and the mend when it is a special one.
func (e *explainer) presented(request *http.Request) (saw, mend string) {
	if user := request.Header.Get("X-Remote-User"); user != "" {
		certificate, _ := e.certificate()
		return fmt.Sprintf("an authenticating proxy's word for user %q, with the proxy's %s", user, certificate),
			"The API server must run with --requestheader-client-ca-file of the authority that signed this certificate, --requestheader-allowed-names with its CN (or empty), and --requestheader-username-headers=X-Remote-User"
	}
	scheme, secret, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		user, _, _ := request.BasicAuth()
		return fmt.Sprintf("basic authentication as user %q", user),
			"Kubernetes removed basic authentication in 1.19: it works only where a proxy before the API server checks the password; use a token or a client certificate"
	case strings.EqualFold(scheme, "Bearer"):
		return e.describeToken(secret)
	case len(e.config.CertData) > 0 || e.config.CertFile != "":
		return e.certificate()
	}
	return "the request brought none", ""
}

// certificate describes the client certificate.
func (e *explainer) certificate() (saw, mend string) {
	text := e.config.CertData
	if len(text) == 0 {
		text, _ = os.ReadFile(e.config.CertFile) // without it there would be no connection
	}
	found, err := parseCertificates(string(text))
	if err != nil {
		return "a client certificate that cannot be read", ""
	}
	leaf, now := found[0], e.now()
	saw = fmt.Sprintf("client certificate of %s, signed by %q", describeName(leaf.Subject.CommonName, leaf.Subject.Organization), leaf.Issuer.CommonName)
	switch {
	case now.After(leaf.NotAfter):
		return saw + ", expired " + ago(leaf.NotAfter, now), ""
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("%s, not valid before %s", saw, leaf.NotBefore.UTC().Format(time.RFC3339)), "Check the clock of this machine"
	case !isClient(leaf):
		return saw + ", not made for clients (extended key usage)", ""
	}
	return fmt.Sprintf("%s, valid until %s", saw, leaf.NotAfter.UTC().Format(time.RFC3339)),
		"It has not expired, so the cluster does not trust who signed it (--client-ca-file): " + e.renew()
}

func isClient(certificate *x509.Certificate) bool {
	if len(certificate.ExtKeyUsage) == 0 {
		return true
	}
	for _, usage := range certificate.ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

// describeToken says what kind of token it is, but shows nothing of it that is
// secret.
func (e *explainer) describeToken(token string) (saw, mend string) {
	if signed, ok := readEKSToken(token); ok {
		return fmt.Sprintf("EKS token, signed with access key %s for region %s at %s", signed.accessKey, signed.region, signed.date),
			"Check that the cluster's name and region are right and that this AWS identity may use the cluster: `aws eks create-access-entry`, or the ConfigMap aws-auth"
	}
	if IsBootstrapToken(token) {
		id := bootstrapID(token)
		return fmt.Sprintf("bootstrap token with id %s", id),
			fmt.Sprintf("The API server must run with --enable-bootstrap-token-auth, and the Secret bootstrap-token-%s in kube-system must hold this token, have usage-bootstrap-authentication: \"true\" and not have expired", id)
	}
	found, ok := readClaims(token)
	if !ok {
		return "bearer token without a readable content: the cluster does not know it, or no more", ""
	}
	now := e.now()
	saw = "bearer token"
	if found.Subject != "" {
		saw += fmt.Sprintf(" of %q", found.Subject)
	}
	switch {
	case !found.Expires.IsZero() && now.After(found.Expires):
		return saw + ", expired " + ago(found.Expires, now), ""
	case now.Before(found.NotBefore):
		return fmt.Sprintf("%s, not valid before %s", saw, found.NotBefore.UTC().Format(time.RFC3339)), "Check the clock of this machine"
	}
	saw += fmt.Sprintf(" from issuer %q", found.Issuer)
	if len(found.Audience) > 0 {
		saw += " for audience " + strings.Join(found.Audience, ", ")
	}
	if !found.Expires.IsZero() {
		saw += ", valid until " + found.Expires.UTC().Format(time.RFC3339)
	}
	return saw, "It has not expired, so it belongs to another cluster or audience, or what it stands for (service account, pod, Secret) has been deleted. " + e.renew()
}
