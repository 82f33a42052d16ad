package buildkit

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/buildkit/client"

	"github.com/towline/towline/internal/dockerfile"
)

// Docker is the BuildKit that a Docker on this machine has in it.
type Docker struct{ Socket string }

var _ dockerfile.Way = (*Docker)(nil)

// DockerSocket is the path of Docker's socket: that of DOCKER_HOST, or the usual
// one.
func DockerSocket() string {
	if path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		return path
	}
	return "/var/run/docker.sock"
}

// Name names the socket.
func (d *Docker) Name() string { return "the Docker at " + d.Socket }

// Build has Docker build the image, takes it out of Docker and removes it there.
// Docker keeps its own cache, and packs layers anew.
func (d *Docker) Build(ctx context.Context, b dockerfile.Build) (result dockerfile.Result, err error) {
	if len(b.Platforms) > 1 {
		return result, dockerfile.Refuse("platforms: Docker makes an image of one platform at a time; name one, or have a BuildKit build it")
	}
	if len(b.Layouts) > 0 {
		return result, dockerfile.Refuse("bases: Docker takes no base from an OCI layout; name an image in a registry, or have a BuildKit build it")
	}
	if err := d.ping(ctx); err != nil {
		return result, err
	}
	c, err := client.New(ctx, "unix:///docker.sock", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return d.hijack(ctx, "/grpc", "h2c", nil)
	}), client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
		return d.hijack(ctx, "/session", proto, meta)
	}))
	if err != nil {
		return result, fmt.Errorf("connect to Docker: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	image := "towline:" + strings.ToLower(rand.Text())
	result, err = solve(ctx, c, b, client.ExportEntry{Type: "moby", Attrs: map[string]string{"name": image}})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, d.remove(context.WithoutCancel(ctx), image)) }()
	return result, d.save(ctx, image, b)
}

// http speaks to Docker.
func (d *Docker) http() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }}}
}

func (d *Docker) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", d.Socket)
}

// do sends a request and gives what is answered to read.
func (d *Docker) do(ctx context.Context, method, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := d.http().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		said, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		return errors.Join(fmt.Errorf("Docker said %s: %s", res.Status, strings.TrimSpace(string(said))), err)
	}
	return read(res.Body)
}

// nothing reads no answer.
func nothing(io.Reader) error { return nil }

// ping finds out whether there is a Docker.
func (d *Docker) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, fmt.Errorf("it did not answer in %v", answerWithin))
	defer cancel()
	err := d.do(ctx, http.MethodGet, "/_ping", nothing)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no socket %s; install Docker and start it", d.Socket)
	}
	if err != nil {
		return fmt.Errorf("connect to %s: %w; start Docker, and let the server's user use its socket", d.Socket, err)
	}
	return nil
}

// hijack turns a request into a connection to what is within Docker.
func (d *Docker) hijack(ctx context.Context, path, proto string, meta map[string][]string) (net.Conn, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker"+path, http.NoBody)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	for k, v := range meta {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", proto)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := req.Write(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("ask Docker for %s: %w", path, err), conn.Close())
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, req)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask Docker for %s: %w", path, err), conn.Close())
	}
	defer res.Body.Close() // It has none when protocols are switched; else the connection is closed before.
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(fmt.Errorf("ask Docker for %s: it said %s; it must be of version 18.09 or newer", path, res.Status), conn.Close())
	}
	return &upgraded{conn, reader}, nil
}

// upgraded is a connection of which some may have been read already.
type upgraded struct {
	net.Conn
	reader *bufio.Reader
}

func (u *upgraded) Read(p []byte) (int, error) { return u.reader.Read(p) }

// save takes an image out of Docker into an OCI layout.
func (d *Docker) save(ctx context.Context, image string, b dockerfile.Build) (err error) {
	file := filepath.Clean(b.Output) + ".tar"
	archive, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close(), os.Remove(file)) }()
	most := b.Limits.Image
	err = d.do(ctx, http.MethodGet, "/images/"+url.PathEscape(image)+"/get", func(r io.Reader) error {
		size, err := io.Copy(archive, io.LimitReader(r, most+1))
		if err == nil && size > most {
			return b.Limits.TooLarge()
		}
		return err
	})
	if _, refused := errors.AsType[*dockerfile.RefusedError](err); refused {
		return err
	}
	if err != nil {
		return fmt.Errorf("take the image out of Docker: %w", err)
	}
	saved, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return fmt.Errorf("read the image out of Docker: %w", err)
	}
	to, err := layout.Write(b.Output, empty.Index)
	if err != nil {
		return err
	}
	return to.AppendImage(saved)
}

// remove takes the name away from an image; its layers stay in Docker's cache.
func (d *Docker) remove(ctx context.Context, image string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := d.do(ctx, http.MethodDelete, "/images/"+url.PathEscape(image), nothing); err != nil {
		return fmt.Errorf("remove the image from Docker: %w", err)
	}
	return nil
}
