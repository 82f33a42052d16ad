package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// The environment by which this test binary becomes a deployer that is killed.
const (
	childPoint   = "TOWLINE_TEST_KILLED_AT"
	childRequest = "TOWLINE_TEST_REQUEST"
)

// childOrder is what a deployer is to do that is killed.
type childOrder struct {
	Request Request
	Recipe  manifest.Recipe
}

// child is the process that deploys and is killed at a point. What it holds of
// the lease is over soon after it.
func (b *bundle) child(t *testing.T, request Request, point string) *exec.Cmd {
	t.Helper()
	request.Log = nil
	text, err := json.Marshal(childOrder{request, b.config.Recipe})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childPoint+"="+point, childRequest+"="+string(text))
	return child
}

// runChild deploys and kills its own process with SIGKILL when it reaches a
// point of the protocol.
func runChild(point string) int {
	var order childOrder
	if err := json.Unmarshal([]byte(os.Getenv(childRequest)), &order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	cluster, err := kube.Connect("", "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	order.Request.Log = os.Stdout
	config := Config{Cluster: cluster, Recipe: order.Recipe, lease: 3 * time.Second, scaleDown: time.Second, reached: func(reached string) {
		if unmarked(reached) == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}}
	d, err := New(config).Deploy(context.Background(), order.Request)
	fmt.Println("not killed:", d.Outcome, d.Message, err)
	return 3
}

var mark = regexp.MustCompile(`-[0-9a-f]{8}$`)

// unmarked is a point without the mark of a set.
func unmarked(point string) string { return mark.ReplaceAllString(point, "") }

// deployKilled deploys in a process of its own, which is killed at a point.
func (b *bundle) deployKilled(t *testing.T, request Request, point string) {
	t.Helper()
	child := b.child(t, request, point)
	out, err := child.CombinedOutput()
	fmt.Fprintf(b.log, "--- the process that is killed at %q:\n%s", point, out)
	if child.ProcessState == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process was to be killed at %q: %v\n%s", point, err, out)
	}
}

// points lists the points that a deployment reaches, in order.
func (b *bundle) points(t *testing.T, request Request) []string {
	t.Helper()
	var mu sync.Mutex
	var points []string
	config := b.config
	config.reached = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		points = append(points, point)
	}
	if _, err := New(config).Deploy(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	return points
}

const settings = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: %s}
`

const extra = `apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
`

func TestADeployerKilledAtAnyPointIsResumed(t *testing.T) {
	t.Parallel()
	points := []string{
		"namespace", "lease", "dry-run", "journal",
		"deploying probe  ", "deploying apply ConfigMap settings", "deploying apply Service web", "deploying apply Deployment web",
		"deploying wait Deployment web", "deploying prune ConfigMap extra", "deploying verdict  ", "end", "recorded",
	}
	t.Run("the points are all there are", func(t *testing.T) {
		b := setup(t)
		image := webImage(t)
		b.write(t, web(image, 1, "VERSION=1")+ready, webService, fmt.Sprintf(settings, "hello"), extra)
		b.deployFirst(t)
		b.write(t, web(image, 1, "VERSION=2")+ready, webService, fmt.Sprintf(settings, "bonjour"))
		request := b.request()
		request.Verify.Budget = 1 << 20 // What is lost on a busy machine is another test's matter.
		if got, want := strings.Join(b.points(t, request), "\n"), strings.Join(points, "\n"); got != want {
			t.Errorf("points reached:\n%s\nwant:\n%s", got, want)
		}
	})
	for _, point := range points {
		t.Run("killed at "+point, func(t *testing.T) {
			b := setup(t)
			image := webImage(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService, fmt.Sprintf(settings, "hello"), extra)
			b.deployFirst(t)
			b.write(t, web(image, 1, "VERSION=2")+ready, webService, fmt.Sprintf(settings, "bonjour"))
			request := b.request()
			request.Key = "web-2.Deploy.1.production"
			request.Verify.Budget = 1 << 20 // What is lost on a busy machine is another test's matter.
			b.deployKilled(t, request, point)
			d := b.deployWell(t, request)
			if d.Revision != 2 || d.Previous != 1 {
				t.Errorf("revision %d after %d, want 2 after 1", d.Revision, d.Previous)
			}
			b.wantOneRevision(t, 2, pipeline.Succeeded)
			b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))
		})
	}
}

func TestADeployerKilledWhileItRevertsIsResumed(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"reverting", "reverting apply Deployment web", "reverting wait Deployment web", "end"} {
		t.Run("killed at "+point, func(t *testing.T) {
			b := setup(t)
			image := webImage(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployFirst(t)
			b.write(t, web(image, 1, "MODE=crash")+ready, webService, fmt.Sprintf(settings, "bonjour"))
			request := b.request()
			request.Key = "web-2.Deploy.1.production"
			request.Verify.Budget = 1 << 20 // What is lost on a busy machine is another test's matter.
			b.deployKilled(t, request, point)
			d := b.deploy(t, request)
			if d.Outcome != pipeline.Failed || !d.Reverted || !strings.Contains(d.Message, "crashes") {
				t.Errorf("outcome %s, reverted %t: %s", d.Outcome, d.Reverted, d.Message)
			}
			b.wantOneRevision(t, 2, pipeline.Failed)
			b.wantGone(t, b.ref("v1", "ConfigMap", "settings"))
		})
	}
}

// wantOneRevision checks that the journal has each revision once and that the
// last one ended as it should.
func (b *bundle) wantOneRevision(t *testing.T, revisions int, outcome pipeline.Outcome) {
	t.Helper()
	history, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != revisions || history[0].Outcome != outcome {
		t.Errorf("history %+v, want %d revisions, the last one %s", history, revisions, outcome)
	}
	live, err := b.cluster.Get(t.Context(), b.ref("apps/v1", "Deployment", "web"))
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.SequenceOf(live); got != revisions {
		t.Errorf("the Deployment carries revision %d, want %d", got, revisions)
	}
}

func (b *bundle) wantGone(t *testing.T, ref kube.Ref) {
	t.Helper()
	if live, err := b.cluster.Get(t.Context(), ref); !kube.IsNotFound(err) {
		t.Errorf("%s: %v, err %v, want it gone", ref, live != nil, err)
	}
}
