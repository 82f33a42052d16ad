package kube

import (
	"fmt"
	"strings"
	"time"
)

// Warnings are what a user should know of a credential that can be used.
func (c Credential) Warnings(now time.Time) []string {
	var found []string
	if c.Insecure {
		found = append(found, "the server's certificate is not checked: whoever is on the way can take the credentials and the cluster; give the certificate authority instead")
	}
	if strings.HasPrefix(c.Server, "http://") {
		found = append(found, "plain http: every process of this machine that can listen at this address gets the credentials")
	}
	switch c.Kind {
	case BasicCredential:
		found = append(found, "Kubernetes removed basic authentication in 1.19: an API server answers such requests as anonymous; it is of use only when a proxy before the API server checks the password")
	case BootstrapCredential:
		found = append(found, fmt.Sprintf("a bootstrap token is made for kubeadm join: the user is system:bootstrap:%s of group system:bootstrappers, which may deploy nothing until a RoleBinding says so, and the token mostly expires within a day", bootstrapID(c.Token)))
	case ProxyCredential:
		found = append(found, "the proxy's certificate lets its holder be any user of the cluster: a service account with a Role of its own needs no such power")
	case TokenCredential:
		if IsBootstrapToken(c.Token) {
			found = append(found, "this has the form of a bootstrap token: if it is one, use bootstrap-token, whose errors say more")
		}
	}
	if expires := c.Expires(); !expires.IsZero() {
		switch left := expires.Sub(now); {
		case left <= 0:
			found = append(found, fmt.Sprintf("it expired %s", ago(expires, now)))
		case left < 7*24*time.Hour:
			found = append(found, fmt.Sprintf("it expires at %s, and Towline cannot renew it", expires.UTC().Format(time.RFC3339)))
		}
	}
	return found
}

// ago tells a time in the past with its distance.
func ago(then, now time.Time) string {
	return fmt.Sprintf("at %s (%s ago)", then.UTC().Format(time.RFC3339), now.Sub(then).Round(time.Second))
}
