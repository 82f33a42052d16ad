package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

// shellImage serves an image with a shell and what the builds below call.
func shellImage(t *testing.T, r *imagetest.Registry) string {
	t.Helper()
	paths, err := imagetest.Programs("sh", "cat", "seq", "sleep", "grep", "cp", "test", "chmod", "head", "wc", "mv")
	if err != nil {
		t.Fatal(err)
	}
	image, err := imagetest.System{
		Paths:  append(paths, "/bin/sh"),
		Files:  map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"},
		Config: v1.Config{Env: []string{"PATH=/usr/bin:/bin", "IMAGE_SAYS=hello"}},
	}.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := r.Push(t.Context(), "shell", "1", image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// openImages starts a registry that the nodes pull from.
func openImages(t *testing.T) *imagetest.Registry {
	t.Helper()
	r, err := imagetest.Listen(t.Context(), kubetest.Connect(t), "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

const podPipeline = `pipeline: NAME
stages:
  - name: Build
    actions:
      - name: app
        build:
          pod: {image: "IMAGE", namespace: NAME, cpu: 100m, memory: 128Mi}
  - name: Use
    actions:
      - name: use
        build: {commands: ['test "$(cat made)" = "hello Ada"', 'test "#{app.VERSION}" = 1.1', test ! -e name]}
        inputs: [app]
      - {name: image, image: {repository: NAME, artifact: app, entrypoint: [/app/made]}}
`

const podSpec = `version: 0.2
env: {exported-variables: [VERSION]}
phases:
  build:
    commands:
      - export VERSION=1.$CODEBUILD_BUILD_NUMBER
      - for i in $(seq 1 40); do echo "tick $i"; sleep 0.1; done
      - echo "$IMAGE_SAYS $(cat name)" > made && chmod 755 made
artifacts: {files: [made]}
`

// TestAPushIsBuiltInAPod takes a push through a build in a Pod to the actions
// that use what it has made. The server is killed while the Pod builds.
func TestAPushIsBuiltInAPod(t *testing.T) {
	t.Parallel()
	name := unique(t, "pod")
	image := shellImage(t, openImages(t))
	s := start(t)
	repo := s.repository(name, map[string]string{
		"towline.yaml": strings.NewReplacer("NAME", name, "IMAGE", image).Replace(podPipeline), "buildspec.yml": podSpec, "name": "Ada\n",
	})
	id := repo.push("First").ID
	waittest.Until(t, "the Pod builds", func() bool {
		out, _, code := s.run("logs", id, "app")
		return code == 0 && strings.Contains(out, "tick 5\n")
	})
	s.kill(syscall.SIGKILL)
	s.up()
	e := s.await(id)
	s.succeeded(e)
	log := s.logOf(e, "app")
	if strings.Count(log, "tick ") != 41 || strings.Count(log, "tick 40\n") != 1 || !strings.Contains(log, "pod backend: Pod "+name+"/build-") {
		t.Errorf("the log of the build:\n%s", log)
	}
	if artifacts := action(t, e, "app").Result.Artifacts; len(artifacts) != 1 || artifacts[0].Digest == "" {
		t.Errorf("artifacts %+v", artifacts)
	}
	if said := action(t, e, "image").Result.Variables["ImageURI"]; !strings.Contains(said, "/"+name+"@sha256:") {
		t.Errorf("the image is %q", said)
	}
	noPods(t, name)
}

// noPods waits until no Pod of a build is left in a namespace.
func noPods(t *testing.T, namespace string) {
	t.Helper()
	cluster := kubetest.Connect(t)
	waittest.Until(t, "the Pods of the builds are gone", func() bool {
		pods, err := cluster.Pods(t.Context(), namespace, "towline.dev/build")
		return err == nil && len(pods) == 0
	})
}

// here is `towline build` in Pods of the tests' cluster, without a server.
type here struct {
	t    *testing.T
	dir  string // that is built
	args []string
	env  []string
}

func (h here) command(ctx context.Context, more ...string) *exec.Cmd {
	args := append([]string{"build", h.dir}, h.args...)
	cmd := exec.CommandContext(ctx, program, append(args, more...)...)
	cmd.Env = h.env
	return cmd
}

// run builds the directory by a buildspec.
func (h here) run(spec string, more ...string) (log, talk string, code int) {
	h.t.Helper()
	h.write(spec)
	cmd := h.command(h.t.Context(), more...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // The exit code says it.
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (h here) write(spec string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, "buildspec.yml"), []byte(spec), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// begun starts a build that does not end, and waits until it runs.
func (h here) begun() *exec.Cmd {
	h.t.Helper()
	h.write("version: 0.2\nphases: {build: {commands: ['echo has begun', 'sleep 1000']}}\n")
	cmd := h.command(context.WithoutCancel(h.t.Context()))
	var log waittest.Log
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	h.t.Cleanup(end)
	log.Await(h.t, "\nhas begun\n")
	return cmd
}

// TestADirectoryIsBuiltInAPodWithoutAServer builds in a cluster from the command
// line alone.
func TestADirectoryIsBuiltInAPodWithoutAServer(t *testing.T) {
	t.Parallel()
	namespace := unique(t, "local")
	images := openImages(t)
	agent, err := exec.CommandContext(t.Context(), program, "agent", "push", images.Host+"/towline-agent", "--insecure").Output()
	if err != nil {
		t.Fatal(err)
	}
	settings, out := filepath.Join(t.TempDir(), "build.yml"), filepath.Join(t.TempDir(), "out")
	text := "pod: {image: \"" + shellImage(t, images) + "\", namespace: " + namespace + ", memory: 64Mi}\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := here{t: t, dir: t.TempDir(), args: []string{"--config", settings, "--memory", "128Mi", "--artifacts", out}}
	h.env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CACHE_HOME=", "TOWLINE_AGENT_IMAGE=")
	sent := h
	h.env = append(slices.Clip(h.env), "TOWLINE_AGENT_IMAGE="+strings.TrimSpace(string(agent)))

	log, talk, code := h.run("version: 0.2\nphases: {build: {commands: ['echo $IMAGE_SAYS $WHO', 'echo it > made']}}\nartifacts: {files: [made]}\n", "--env", "WHO=Ada")
	if code != 0 || !strings.Contains(log, "\nhello Ada\n") || !strings.Contains(log, "128Mi memory") || !strings.Contains(talk, "Succeeded") {
		t.Fatalf("exit code %d\n%s%s", code, log, talk)
	}
	if made, err := os.ReadFile(filepath.Join(out, "made")); err != nil || string(made) != "it\n" {
		t.Errorf("the artifact is %q, %v", made, err)
	}
	if log, talk, code := h.run("version: 0.2\nphases: {build: {commands: ['exit 4']}}\n"); code != 3 || !strings.Contains(talk, "exit code 4") && !strings.Contains(talk, "exit status 4") {
		t.Errorf("a build that fails: exit code %d\n%s%s", code, log, talk)
	}
	// Without an image of it, the program itself is sent.
	if log, talk, code := sent.run("version: 0.2\nphases: {build: {commands: ['echo has come']}}\n"); code != 0 || !strings.Contains(log, "\nhas come\n") {
		t.Errorf("without an image: exit code %d\n%s%s", code, log, talk)
	}
	noPods(t, namespace)

	stopped := h.begun()
	_ = stopped.Process.Signal(syscall.SIGINT)
	if err := stopped.Wait(); err == nil {
		t.Error("a build that was stopped has succeeded")
	}
	noPods(t, namespace)

	killed := h.begun()
	_ = killed.Process.Kill()
	_ = killed.Wait()
	// The Pod of the killed one builds on, until the next call.
	if log, talk, code := h.run("version: 0.2\nphases: {build: {commands: ['true']}}\n"); code != 0 {
		t.Errorf("after a killed one: exit code %d\n%s%s", code, log, talk)
	}
	noPods(t, namespace)
}
