package dockerfile_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/waittest"
)

// startDocker runs a Docker that ends with the test, in a network of its own: it
// makes a bridge. It returns the path of its socket.
func startDocker(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Fatalf("%v; install the Debian package docker.io", err)
	}
	dir := shortDir(t)
	socket := filepath.Join(dir, "docker.sock")
	said, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	defer said.Close()
	args := append(slices.Clone(program(t)[1:]), "/usr/bin/unshare", "--net", "sh", "-c", "ip link set lo up && exec dockerd \"$@\"", "sh",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"), "--host", "unix://"+socket, "--iptables=false", "--ip6tables=false")
	cmd := exec.Command(program(t)[0], args...) //nolint:noctx // The enclosure ends it.
	cmd.Env, cmd.Stdout, cmd.Stderr = enclosure.Environ(), said, said
	e, err := enclosure.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		e.Stop(10 * time.Second)
		if t.Failed() {
			text, _ := os.ReadFile(said.Name())
			t.Logf("Docker said:\n%s", text[max(0, len(text)-3000):])
		}
	})
	waittest.Until(t, "Docker's answer", func() bool {
		_, err := images(t.Context(), socket)
		return err == nil
	})
	return socket
}

// images are those that a Docker has, as its API tells.
func images(ctx context.Context, socket string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/images/json", http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return strings.TrimSpace(string(text)), err
}

func TestDocker(t *testing.T) {
	t.Parallel()
	socket := startDocker(t)
	p := place{t: t, builder: dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Docker{Socket: socket})}
	busybox, err := os.ReadFile("/bin/busybox")
	must(t, err)
	const from = "FROM scratch AS tools\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-ec\"]\n"

	t.Run("builds, with a secret that is kept nowhere", func(t *testing.T) {
		p := place{t, p.builder, "", ""}
		b, said := p.build(map[string]string{"Dockerfile": from +
			"ARG WHO\nRUN --mount=type=secret,id=npm echo $WHO > /file; /bin/busybox cat /run/secrets/npm; echo; echo next\n"})
		must(t, os.WriteFile(filepath.Join(b.Dir, "busybox"), busybox, 0o755))
		b.Args, b.Secrets = map[string]string{"WHO": "you"}, map[string][]byte{"npm": []byte(hush)}
		image := p.made(b, said)
		if got := files(t, image)["file"]; got != "you\n" {
			t.Errorf("the file is %q", got)
		}
		if text := said.String(); strings.Contains(text, hush) || !strings.Contains(text, "***") || !strings.Contains(text, "next\n") {
			t.Errorf("the log:\n%s", text)
		}
		if left, err := images(t.Context(), socket); err != nil || left != "[]" {
			t.Errorf("left in Docker: %s, %v", left, err)
		}
	})
	t.Run("names the command that fails", func(t *testing.T) {
		p := place{t, p.builder, "", ""}
		b, said := p.build(map[string]string{"Dockerfile": from + "RUN exit 3\n"})
		must(t, os.WriteFile(filepath.Join(b.Dir, "busybox"), busybox, 0o755))
		if message := p.refused(b, said); !strings.HasPrefix(message, "Dockerfile:") || !strings.Contains(message, "exit 3]: exit code: 3") {
			t.Errorf("message %q", message)
		}
	})
	t.Run("ends with the context", func(t *testing.T) {
		p := place{t, p.builder, "", ""}
		mark := strconv.FormatInt(time.Now().UnixNano()%1_000_000_000+1_000_000_000, 10)
		b, said := p.build(map[string]string{"Dockerfile": from + "RUN echo begun; /bin/busybox sleep " + mark + "\n"})
		must(t, os.WriteFile(filepath.Join(b.Dir, "busybox"), busybox, 0o755))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		stopped := errors.New("stopped by hand")
		b.Log = onText{said, "begun\n", func() { cancel(stopped) }}
		if _, err := p.builder.Build(ctx, b); !errors.Is(err, stopped) {
			t.Fatalf("got %v; want the cause\n%s", err, said)
		}
		gone(t, mark)
	})
	t.Run("refuses an image that is too large", func(t *testing.T) {
		p := place{t, p.builder, "", ""}
		b, said := p.build(map[string]string{"Dockerfile": from})
		must(t, os.WriteFile(filepath.Join(b.Dir, "busybox"), busybox, 0o755))
		b.Limits.Image = 1 << 20
		if message := p.refused(b, said); !strings.Contains(message, "larger than the limit of 1048576 bytes") {
			t.Errorf("message %q", message)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(b.Output), "*.tar")); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	t.Run("refuses what Docker cannot do", func(t *testing.T) {
		p := place{t, p.builder, "", ""}
		b, said := p.build(map[string]string{"Dockerfile": "FROM scratch\n"})
		b.Platforms = []string{"linux/amd64", "linux/arm64"}
		if message := p.refused(b, said); !strings.Contains(message, "one platform at a time") {
			t.Errorf("message %q", message)
		}
	})
}
