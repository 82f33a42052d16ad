package pod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/build/pod/tree"
	"github.com/towline/towline/internal/buildspec"
)

// TestCachesOfPodsAreKeptByTheServer runs builds by the runner of a Pod, without
// the Pod: the connection is a socket of this machine.
func TestCachesOfPodsAreKeptByTheServer(t *testing.T) {
	t.Parallel()
	caches := cache.Store{Dir: t.TempDir()}
	first := cachedBuild(t, caches, "web", "npm-1")
	for _, line := range []string{"found nothing", "cache: there is none yet of the key npm-1", "cache: saved "} {
		if !strings.Contains(first, line) {
			t.Fatalf("the log has no %q\n%s", line, first)
		}
	}
	if second := cachedBuild(t, caches, "web", "npm-2"); !strings.Contains(second, "found kept") || !strings.Contains(second, "cache: restored 1 file of the key npm-1") {
		t.Error("the next build:", second)
	}
	if other := cachedBuild(t, caches, "api", "npm-1"); !strings.Contains(other, "found nothing") {
		t.Error("another pipeline:", other)
	}
	if none := cachedBuild(t, cache.Store{}, "web", "npm-1"); !strings.Contains(none, "this backend keeps no caches") {
		t.Error("a server that keeps none:", none)
	}
	archives, err := caches.Of("web")
	if err != nil {
		t.Fatal(err)
	}
	// What is no archive is dropped, also from here.
	if err := archives.Put(t.Context(), cache.Entry{Key: "npm-3"}, func(w io.Writer) error { _, err := io.WriteString(w, "no archive"); return err }); err != nil {
		t.Fatal(err)
	}
	if damaged := cachedBuild(t, caches, "web", "npm-3"); !strings.Contains(damaged, "is dropped") || !strings.Contains(damaged, "cache: saved 1 file of the key npm-3") {
		t.Error("a damaged archive:", damaged)
	}
}

// cachedBuild runs a build with a cache, and returns its log.
func cachedBuild(t *testing.T, caches cache.Store, pipeline, key string) string {
	t.Helper()
	dir, source := t.TempDir(), t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- runner.Serve(ctx, runner.Config{Dir: dir, Temp: t.TempDir(), Environ: os.Environ(), Listener: listener})
	}()
	socket := socket{listener.Addr().String(), make(chan bool)}
	l := &link{pod: "here", token: "a token that is long enough", forward: socket, client: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return socket.Dial(runner.Port) },
	}}}
	r := &run{config: Config{Caches: caches, Log: slog.New(slog.DiscardHandler)}, build: build.Build{
		Pipeline: pipeline, Key: "k", Timeout: time.Minute,
		Phases: []build.Phase{{Name: "build", Commands: []string{"echo found $(cat dep || echo nothing)", "echo kept > dep"}}},
		Cache:  &buildspec.Cache{Key: key, Fallback: []string{"npm-"}, Paths: []string{"dep"}},
	}}
	order, err := json.Marshal(runner.Order{Build: r.build, Caches: r.keepsCache()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.send(ctx, "/build", func(w io.Writer) error { return packOrder(w, order, source) }); err != nil {
		t.Fatal(err)
	}
	if r.keepsCache() {
		r.doErrands(ctx, l)
	}
	var log bytes.Buffer
	for ended := false; !ended; {
		var part []byte
		if part, ended, err = l.log(ctx, int64(log.Len())); err != nil {
			t.Fatal(err, log.String())
		}
		log.Write(part)
	}
	if err := errors.Join(l.leave(ctx), <-served); err != nil {
		t.Error(err)
	}
	l.client.CloseIdleConnections()
	if left, _ := filepath.Glob(filepath.Join(dir, "own", "cache*")); len(left) > 0 {
		t.Errorf("the Pod still has %v", left)
	}
	return log.String()
}

// socket is a way to a runner that runs here.
type socket struct {
	address string
	closed  chan bool
}

var _ way = socket{}

func (s socket) Dial(int) (net.Conn, error) { return net.Dial("tcp", s.address) }
func (s socket) Closed() <-chan bool        { return s.closed }
func (s socket) Close() error               { return nil }

func packOrder(w io.Writer, order []byte, source string) error {
	p, err := tree.NewPacker(w)
	if err != nil {
		return err
	}
	return errors.Join(p.Text(runner.OrderName, order), p.Tree(runner.SourceTree, source, nil), p.Close())
}
