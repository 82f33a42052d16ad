package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// Clusters are the clusters that deploy actions can name. Errors are
// *kube.CredentialError for what is wrong with a credential, store.ErrExists,
// store.ErrNotFound and *secret.LostKeyError.
type Clusters interface {
	List(ctx context.Context) ([]client.Cluster, error)
	Add(ctx context.Context, name string, credential kube.Credential, replace bool) (client.Cluster, error)
	Remove(ctx context.Context, name string) error
	// Test asks the cluster itself. That it does not answer is no error, but
	// the test's Problem.
	Test(ctx context.Context, name, namespace string) (client.ClusterTest, error)
	// Rekey encrypts all of them with a new key and returns how many.
	Rekey(ctx context.Context) (int, error)
}

// clusterRoutes are all for the admin alone, as the whole API is: who can add
// a cluster chooses where deployments go.
func (s *Server) clusterRoutes(api huma.API) {
	huma.Get(api, "/clusters", s.listClusters)
	huma.Register(api, huma.Operation{
		OperationID: "add-cluster", Method: http.MethodPut, Path: "/clusters/{name}", Summary: "Store a cluster with its credential",
		Description: "The credential is encrypted at rest and never given back. Exec plugins are refused: a server runs no program that a request names.",
	}, s.addCluster)
	huma.Delete(api, "/clusters/{name}", s.removeCluster)
	huma.Post(api, "/clusters/{name}/test", s.testCluster)
	huma.Post(api, "/clusters/rekey", s.rekeyClusters)
}

// clusterError maps what the clusters say to an answer. Their errors hold no
// secrets.
func (s *Server) clusterError(what string, err error) error {
	if wrong, ok := errors.AsType[*kube.CredentialError](err); ok {
		return huma.Error422UnprocessableEntity(wrong.Error())
	}
	if errors.Is(err, store.ErrExists) {
		return huma.Error409Conflict(err.Error() + ": give it a new credential with --replace, or choose another name")
	}
	if lost, ok := errors.AsType[*secret.LostKeyError](err); ok {
		return huma.Error409Conflict(lost.Error())
	}
	return s.fail(what, err)
}

func (s *Server) listClusters(ctx context.Context, _ *none) (*answer[[]client.Cluster], error) {
	found, err := s.Clusters.List(ctx)
	if err != nil {
		return nil, s.clusterError("list clusters", err)
	}
	return &answer[[]client.Cluster]{found}, nil
}

func (s *Server) addCluster(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"63" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" patternDescription:"letters, digits, dots, dashes and underscores"`
	Body client.ClusterRequest
}) (*answer[client.Cluster], error) {
	var credential kube.Credential
	if err := in.Body.Credential.Into(&credential); err != nil {
		return nil, s.clusterError("add cluster", err)
	}
	added, err := s.Clusters.Add(ctx, in.Name, credential, in.Body.Replace)
	if err != nil {
		return nil, s.clusterError("add cluster", err)
	}
	return &answer[client.Cluster]{added}, nil
}

func (s *Server) removeCluster(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*none, error) {
	if err := s.Clusters.Remove(ctx, in.Name); err != nil {
		return nil, s.clusterError("remove cluster", err)
	}
	return nil, nil
}

func (s *Server) testCluster(ctx context.Context, in *struct {
	Name      string `path:"name"`
	Namespace string `query:"namespace" maxLength:"63" doc:"where to look for rights, default the credential's own"`
}) (*answer[client.ClusterTest], error) {
	test, err := s.Clusters.Test(ctx, in.Name, in.Namespace)
	if err != nil {
		return nil, s.clusterError("test cluster", err)
	}
	return &answer[client.ClusterTest]{test}, nil
}

func (s *Server) rekeyClusters(ctx context.Context, _ *none) (*answer[client.Rekeyed], error) {
	count, err := s.Clusters.Rekey(ctx)
	if err != nil {
		return nil, s.clusterError("rekey clusters", err)
	}
	return &answer[client.Rekeyed]{client.Rekeyed{Clusters: count}}, nil
}
