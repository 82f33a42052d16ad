package dockerfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/waittest"
)

// onText calls a function when a text is written.
type onText struct {
	*waittest.Log
	text string
	then func()
}

func (o onText) Write(p []byte) (int, error) {
	n, err := o.Log.Write(p)
	if bytes.Contains(p, []byte(o.text)) {
		o.then()
	}
	return n, err
}

// gone waits until no process has the text in its command line.
func gone(t testing.TB, text string) {
	t.Helper()
	waittest.Until(t, "the end of all processes with "+text+" in their command lines", func() bool { return len(holding(t, text)) == 0 })
}

// holding are the processes that have the text in their command lines.
func holding(t testing.TB, text string) []int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	var found []int
	for _, file := range lines {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(text)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			must(t, err)
			found = append(found, pid)
		}
	}
	return found
}

func TestAKilledBuildKitBuildsOnceMore(t *testing.T) {
	t.Parallel()
	host := startRegistry(t, "")
	dir := filepath.Join(t.TempDir(), "buildkit")
	d := daemonIn(dir, program(t), host)
	t.Cleanup(d.Close)
	p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Own{Daemon: d}), host, ""}
	kill := func() {
		for _, pid := range holding(t, filepath.Join(dir, "buildkitd.toml")) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	mark := strconv.FormatInt(time.Now().UnixNano()%1_000_000_000+1_000_000_000, 10)
	first := "FROM BASE\nRUN --mount=type=cache,target=/c if [ -e /c/been ]; then echo again > /file; else touch /c/been; echo begun; sleep " + mark + "; fi\n"
	b, said := p.build(map[string]string{"Dockerfile": first})
	b.Log = onText{said, "begun\n", kill}
	if got := files(t, p.made(b, said))["file"]; got != "again\n" || !strings.Contains(said.String(), "building once more\n") {
		t.Errorf("the file is %q\n%s", got, said)
	}
	gone(t, mark)
	b, said = p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun && sleep " + mark + "\n"})
	b.Log = onText{said, "begun\n", kill} // each time
	if _, err := p.builder.Build(t.Context(), b); !errors.Is(err, dockerfile.ErrLost) || !strings.Contains(err.Error(), "; retry the stage") {
		t.Fatalf("got %v; want that it was lost\n%s", err, said)
	}
	gone(t, mark)
}

// serveVariable has this program build something endless, as a server would.
const serveVariable = "TOWLINE_TEST_BUILD_FOR"

func TestNothingIsLeftOfAKilledServer(t *testing.T) {
	t.Parallel()
	host := startRegistry(t, "")
	mark := strconv.FormatInt(time.Now().UnixNano()%1_000_000_000+1_000_000_000, 10)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program(t)[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+strings.Join([]string{host, mark, dir}, " "))
	out := &waittest.Log{}
	begun := make(chan struct{})
	cmd.Stdout, cmd.Stderr = onText{out, "begun\n", func() { close(begun) }}, out
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("the server ended: %v\n%s", err, out)
	}
	must(t, cmd.Process.Kill())
	gone(t, mark)
	gone(t, dir)
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	if bytes.Contains(mounts, []byte(dir)) {
		t.Errorf("something is mounted still:\n%s", mounts)
	}
}

// serve builds something endless.
func serve(arguments string) error {
	words := strings.Fields(arguments)
	host, mark, dir := words[0], words[1], words[2]
	source := filepath.Join(dir, "source")
	text := fmt.Sprintf("FROM %s/busybox:1\nRUN echo begun && sleep %s\n", host, mark)
	if err := errors.Join(os.Mkdir(source, 0o755), os.WriteFile(filepath.Join(source, "Dockerfile"), []byte(text), 0o644)); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	own := &buildkit.Own{Daemon: daemonIn(filepath.Join(dir, "buildkit"), []string{self, "enclose"}, host)}
	_, err = own.Build(context.Background(), dockerfile.Build{
		Dir: source, File: filepath.Join(source, "Dockerfile"), Context: source, Output: filepath.Join(dir, "output"), Log: os.Stdout,
		Credential: func(context.Context, string) (dockerfile.Credential, error) { return dockerfile.Credential{}, nil },
	})
	return err
}

func TestTheDaemonStopsWhenItIsIdle(t *testing.T) {
	t.Parallel()
	host := startRegistry(t, "")
	dir := filepath.Join(t.TempDir(), "buildkit")
	d := daemon.New(daemon.Config{
		Dir: dir, Program: program(t), Find: daemon.Finder{}.Find, CacheLimit: 1 << 30, Insecure: []string{host},
		Idle: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(d.Close)
	p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Own{Daemon: d}), host, ""}
	for range 2 {
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN true\n"})
		p.made(b, said)
		gone(t, filepath.Join(dir, "buildkitd.toml"))
	}
}
