package imagetest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// Registry keeps images in memory and serves them to the nodes of the local
// cluster, without a password.
type Registry struct {
	Host   string // and port, with which the names of its images begin
	server *http.Server
}

// Listen starts a registry where the API server listens: an address of this
// machine that the nodes reach. The nodes are told to pull from it by plain
// HTTP. Port "0" is any that is free.
func Listen(ctx context.Context, cluster *kube.Cluster, port string) (*Registry, error) {
	server, err := url.Parse(cluster.Server)
	if err != nil {
		return nil, fmt.Errorf("read the address of the API server: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(server.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("listen where the nodes reach this machine (is the cluster a local one?): %w", err)
	}
	r := &Registry{Host: listener.Addr().String()}
	r.server = &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }() // it ends with Close
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err == nil {
		err = local.TrustRegistry(ctx, r.Host, "http://"+r.Host, "")
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close ends the registry.
func (r *Registry) Close() { _ = r.server.Close() }

// Push pushes an image and returns its reference, by digest.
func (r *Registry) Push(ctx context.Context, repository, tag string, image v1.Image) (string, error) {
	target, err := name.NewRepository(r.Host+"/"+repository, name.Insecure)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	if err := remote.Write(target.Tag(tag), image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push the image %s:%s: %w", repository, tag, err)
	}
	return target.Digest(digest.String()).String(), nil
}
