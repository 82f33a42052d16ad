package registry

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// serveDir makes this test binary a registry on that directory, so that a
// benchmark can tell the registry's memory from its own.
const serveDir = "TOWLINE_TEST_REGISTRY_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(serveDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	reg, err := New(Config{Dir: dir, Authorize: byToken})
	if err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			fmt.Println(l.Addr())
			err = http.Serve(l, reg)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// process is a registry in a process of its own.
func process(b *testing.B) (s *server, peak func() float64) {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serveDir+"="+b.TempDir())
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		must(b, cmd.Process.Kill())
		cmd.Wait() // says that it was killed
	})
	host, err := bufio.NewReader(out).ReadString('\n')
	must(b, err)
	peak = func() float64 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		must(b, err)
		_, rest, _ := strings.Cut(string(text), "VmHWM:")
		var kilobytes float64
		_, err = fmt.Sscan(rest, &kilobytes)
		must(b, err)
		return kilobytes / 1024
	}
	return &server{t: b, host: strings.TrimSpace(host)}, peak
}

// large is an image of 4 new layers of 25 MiB.
func large(b *testing.B) v1.Image {
	b.Helper()
	var layers []v1.Layer
	for range 4 {
		data := make([]byte, 25<<20)
		rand.Read(data)
		layers = append(layers, static.NewLayer(data, types.OCILayer))
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	must(b, err)
	_, err = img.Digest()
	must(b, err)
	return img
}

// BenchmarkPushPull moves 100 MiB over HTTP; MB-peak is the most memory that
// the registry's process ever had.
func BenchmarkPushPull(b *testing.B) {
	s, peak := process(b)
	b.Run("push", func(b *testing.B) {
		b.SetBytes(100 << 20)
		for i := range b.N {
			b.StopTimer()
			img := large(b)
			b.StartTimer()
			must(b, remote.Write(s.ref(fmt.Sprintf("web:%d", i)), img, token(adminToken)))
		}
		b.ReportMetric(peak(), "MB-peak")
	})
	b.Run("push again", func(b *testing.B) {
		img := large(b)
		must(b, remote.Write(s.ref("web:again"), img, token(adminToken)))
		for b.Loop() {
			must(b, remote.Write(s.ref("web:again"), img, token(adminToken)))
		}
	})
	b.Run("pull", func(b *testing.B) {
		must(b, remote.Write(s.ref("web:pull"), large(b), token(adminToken)))
		b.SetBytes(100 << 20)
		for b.Loop() {
			must(b, pullAll(s))
		}
		b.ReportMetric(peak(), "MB-peak")
	})
}

func pullAll(s *server) error {
	img, err := remote.Image(s.ref("web:pull"), token(pullToken))
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}
