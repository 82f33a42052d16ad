package e2e_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// slowPipeline has five stages, each of which takes long enough to be killed
// in. Its build leaves a mark for every line that it prints.
const slowPipeline = `pipeline: NAME
stages:
  - name: Test
    actions:
      - name: unit
        build:
          commands:
            - for i in $(seq 1 40); do echo "tick $i"; sleep 0.1; done
            - echo built >> marks; test "$(wc -l < marks)" = 1
          services: {db: {engine: postgres}}
  - name: Package
    actions:
      - name: app
        build:
          commands:
            - for i in $(seq 1 20); do echo "pack $i"; sleep 0.1; done
            - chmod +x web
          artifacts: [web, ballast]
  - name: Image
    actions:
      - {name: image, image: {repository: NAME, entrypoint: [/app/web]}}
  - name: Deploy
    actions:
      - {name: production, deploy: {namespace: NAME, manifests: k8s, images: {web: "#{image.ImageURI}"}}}
`

const smallServer = `package main

import (
	"context"
	"net/http"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := http.Server{Addr: ":8080", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.ListenAndServe()
	<-ctx.Done()
	server.Shutdown(context.Background())
}
`

const smallManifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: web, ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

// compile makes a static program of one Go file, in the caches of this test's
// own machine: a build's own cache would begin empty.
func compile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "web"), filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}

// TestServerKilledInEachStage kills the server with SIGKILL in the middle of
// each stage and starts it again. The execution ends as it would have: each
// line of the build's log is there once, and there is one deployment.
func TestServerKilledInEachStage(t *testing.T) {
	t.Parallel()
	name := unique(t, "kill")
	s := start(t)
	ballast := make([]byte, 48<<20)
	_, _ = rand.Read(ballast)
	repo := s.repository(name, map[string]string{
		"towline.yaml": strings.ReplaceAll(slowPipeline, "NAME", name),
		"web":          compile(t, smallServer),
		"k8s/web.yaml": smallManifests,
		"ballast":      string(ballast),
	})
	id := repo.push("First").ID
	killed := map[string]bool{}
	for _, stage := range []string{"Source", "Test", "Package", "Image", "Deploy"} {
		if s.inStage(id, stage) {
			killed[stage] = true
			s.kill(syscall.SIGKILL)
			s.up()
		}
	}
	e := s.await(id)
	s.succeeded(e)
	for _, stage := range e.Stages {
		if !killed[stage.Name] {
			t.Errorf("stage %s was over before it could be killed", stage.Name)
		}
	}
	s.eachLineOnce(id, "Test", "unit", "tick %d", 40)
	s.eachLineOnce(id, "Package", "app", "pack %d", 20)
	d := action(t, e, "production").Result.Deployment
	if d == nil || d.Revision != 1 || d.Outcome != pipeline.Succeeded {
		t.Errorf("deployment %+v", d)
	}
	if again := s.await(repo.push("Second").ID); again.Number != 2 {
		t.Errorf("the next push became #%d", again.Number)
	}
}

// inStage waits until an action of the stage runs. It is false when the stage
// was over before it was seen.
func (s *towline) inStage(id, stage string) bool {
	s.t.Helper()
	running := false
	waittest.Until(s.t, "stage "+stage+" is entered", func() bool {
		e, err := s.api().Execution(s.t.Context(), id)
		if err != nil {
			return false
		}
		for _, state := range e.Stages {
			if state.Name != stage {
				continue
			}
			running = state.Status == pipeline.StatusInProgress && state.Actions[0].Status == pipeline.StatusInProgress
			return running || state.Status == pipeline.StatusSucceeded || e.Done()
		}
		return false
	})
	return running
}

// eachLineOnce checks that an action's log has the lines 1 to n once each.
func (s *towline) eachLineOnce(id, stage, action, format string, n int) {
	s.t.Helper()
	log, err := s.api().Log(s.t.Context(), client.ActionRef{Execution: id, Stage: stage, Attempt: 1, Action: action}, 0, false)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		line := " " + fmt.Sprintf(format, i) + "\n"
		if got := strings.Count(string(text), line); got != 1 {
			s.t.Errorf("%s/%s: %d lines %q in\n%s", stage, action, got, strings.TrimSpace(line), text)
			return
		}
	}
}
