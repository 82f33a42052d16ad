package kubectl

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/towline/towline/internal/kube"
)

var web = kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}

func TestFault(t *testing.T) {
	t.Parallel()
	explain := func(said string) error { return new(kube.Cluster).Explain(web, fault(web, said)) }
	reviewed := "\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend"
	for said, is := range map[string]func(error) bool{
		`Error from server (NotFound): namespaces "shop" not found`:                                                                              kube.IsNotFound,
		`Error from server (NotFound): error when creating "STDIN": namespaces "shop" not found`:                                                 kube.IsNotFound,
		`Error from server (AlreadyExists): error when creating "STDIN": deployments.apps "web" already exists`:                                  kube.IsAlreadyExists,
		`Error from server (Forbidden): deployments.apps "web" is forbidden: User "x" cannot patch`:                                              apierrors.IsForbidden,
		`Error from server: failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.x: not declared`:                     kube.Refused,
		`Error from server (TooManyRequests): slow down`:                                                                                         kube.Transient,
		`Error from server (InternalError): an error on the server`:                                                                              kube.Transient,
		`Error from server (ServiceUnavailable): the server is currently unable to handle the request`:                                           kube.Transient,
		`Error from server (Conflict): Operation cannot be fulfilled on Deployment "web": the UID in the precondition (x) ...`:                   kube.IsStale,
		`error: Operation cannot be fulfilled on deployments.apps "web": the object has been modified` + reviewed:                                kube.IsStale,
		`error: You must be logged in to the server (the server has asked for the client to provide credentials)`:                                apierrors.IsUnauthorized,
		`error: error validating "STDIN": failed to download openapi: the server has asked for the client to provide credentials; if you choose`: apierrors.IsUnauthorized,
		"The Deployment \"web\" is invalid: \n* spec.a: Required value\n* spec.b: Invalid value":                                                 apierrors.IsInvalid,
		`The request is invalid: patch: Invalid value`:                                                                                           apierrors.IsInvalid,
		`The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?`:                                       kube.Transient,
		`error: error validating "STDIN": failed to download openapi: Get "https://10.0.0.1/": dial tcp: connect: connection refused; if`:        kube.Transient,
		`Unable to connect to the server: EOF`:                                                                                                   kube.Transient,
		`Unable to connect to the server: read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer`:                                       kube.Transient,
		`Unable to connect to the server: tls: failed to verify certificate: x509: signed by unknown authority`: func(err error) bool {
			return !kube.Transient(err) && !kube.Refused(err)
		},
	} {
		if err := explain(said); !is(err) || !strings.HasPrefix(err.Error(), "Deployment web: ") {
			t.Errorf("%s\nbecomes %T: %v", said, err, err)
		}
	}
	for _, said := range []string{
		"error: resource mapping not found for name: \"web\" namespace: \"\" from \"STDIN\": no matches for kind \"Deployment\" in version \"apps/v9\"\nensure CRDs are installed first",
		`error: the server doesn't have a resource type "deployments" in group "apps"`,
	} {
		if _, ok := errors.AsType[*kube.UnknownKindError](fault(web, said)); !ok {
			t.Errorf("not taken for an unknown kind: %s", said)
		}
	}
	if err := explain("error: Operation cannot be fulfilled on x: changed" + reviewed); strings.Contains(err.Error(), "review") {
		t.Errorf("kubectl's advice is in %v", err)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said string
		want []kube.Conflict
	}{
		"one field": {`Apply failed with 1 conflict: conflict with "other": .data.a`, []kube.Conflict{{Field: ".data.a", Manager: "other"}}},
		"a time and a field with colons": {`Apply failed with 1 conflict: conflict with "kubectl edit" using v1 at 2026-01-02T03:04:05Z: .data.a: b`,
			[]kube.Conflict{{Field: ".data.a: b", Manager: "kubectl edit"}}},
		"a subresource": {`Apply failed with 1 conflict: conflict with "towline" with subresource "scale" using apps/v1: .spec.replicas`,
			[]kube.Conflict{{Field: ".spec.replicas", Manager: "towline"}}},
		"a field of a list": {`Apply failed with 1 conflict: conflict with "other": .spec.ports[port=80,protocol="TCP"].name`,
			[]kube.Conflict{{Field: `.spec.ports[port=80,protocol="TCP"].name`, Manager: "other"}}},
		"several": {"Apply failed with 3 conflicts: conflicts with \"a\":\n- .data.a\n- .data.b\nconflicts with \"c\" using v1:\n- .data.c",
			[]kube.Conflict{{Field: ".data.a", Manager: "a"}, {Field: ".data.b", Manager: "a"}, {Field: ".data.c", Manager: "c"}}},
		"words that are not understood": {"Apply failed with 7 troubles", []kube.Conflict{{Field: "some fields", Manager: "Apply failed with 7 troubles"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := new(kube.Cluster).Explain(web, fault(web, "error: "+c.said+advice+"--they ..."))
			conflict, ok := errors.AsType[*kube.ConflictError](err)
			if !ok {
				t.Fatalf("error %T: %v", err, err)
			}
			if diff := cmp.Diff(c.want, conflict.Conflicts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzFault wants an error of every text, and never a conflict over fields that
// could be taken for a stale object: that one is read and written again.
func FuzzFault(f *testing.F) {
	f.Add(`Apply failed with 1 conflict: conflict with "other": .data.a`)
	f.Add("error: Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.a\nconflict with \"b\" with subresource \"\\\"\"")
	f.Add(`Error from server (NotFound): error when creating "STDIN": x`)
	f.Add("The \"\" is invalid: ")
	f.Fuzz(func(t *testing.T, said string) {
		err := new(kube.Cluster).Explain(web, fault(web, said))
		if err == nil {
			t.Fatal("no error")
		}
		if strings.HasPrefix(said, "error: Apply failed with ") && kube.IsStale(err) {
			t.Errorf("taken for a stale object: %v", err)
		}
	})
}

func TestHear(t *testing.T) {
	t.Parallel()
	var heard []string
	ctx := kube.WithWarnings(t.Context(), func(text string) { heard = append(heard, text) })
	rest := hear(ctx, "Warning: would violate PodSecurity\nE1123 08:31:15.172893    7979 memcache.go:265] \"Unhandled Error\"\nThe connection was refused\nmore\n")
	if rest != "The connection was refused\nmore" || len(heard) != 1 || heard[0] != "would violate PodSecurity" {
		t.Errorf("rest %q, heard %q", rest, heard)
	}
}
