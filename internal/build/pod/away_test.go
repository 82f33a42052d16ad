package pod_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

func TestABuildOutlivesAnAPIServerThatIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	proxy := kubetest.Faulty(t, "", kubetest.Faults{})
	b.config.Connect = func(context.Context, string) (*kube.Cluster, error) { return proxy.Cluster, nil }
	of := buildtest.New(t, "for i in $(seq 1 500); do echo line $i; sleep 0.01; done")
	ended := begin(t, b.backend(t), of)
	waittest.Until(t, "line 50", logHas(t, of, "line 50", 1))
	proxy.Arm(kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Away, Verb: "list", Resource: "pods", For: 3 * time.Second}}})
	if _, err := proxy.Cluster.Pods(t.Context(), b.namespace, "nothing"); err != nil {
		t.Fatal(err)
	}
	if hits := proxy.Hits(); len(hits) != 1 {
		t.Fatalf("the API server was away %d times", len(hits))
	}
	if _, err := ended(); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for i := range 500 {
		want = append(want, fmt.Sprintf("line %d", i+1))
	}
	for _, line := range buildtest.Lines(t, of) {
		if strings.HasPrefix(line, "line ") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("lines (-want +got)\n", diff)
	}
	b.none(t)
}

// TestAPodThatDoesNotAnswerIsLost stops the runner of a build, as a node does
// that hangs: its Pod runs as far as Kubernetes knows.
func TestAPodThatDoesNotAnswerIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Silence = 15 * time.Second
	of := buildtest.New(t, "echo waiting; while [ ! -e ../in/again ]; do sleep 0.1; done; echo done")
	of.Override = map[string]string{"TOWLINE_TEST_BUILD": of.Dir}
	restore := of.Restore
	of.Restore = func(ctx context.Context) error {
		in := of.Dir + "/" + build.InputsDir
		if err := os.MkdirAll(in, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(in+"/again", nil, 0o644); err != nil {
			return err
		}
		return restore(ctx)
	}
	ended := begin(t, b.backend(t), of)
	waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
	stopRunner(t, of)
	if _, err := ended(); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(buildtest.Lines(t, of), "\n")
	if !strings.Contains(log, "has not answered for") || !strings.HasSuffix(log, "\ndone") {
		t.Errorf("the log is\n%s", log)
	}
	b.none(t)
}

// stopRunner stops the process that has started the shell of a build: nodes of
// the local cluster are on this machine.
func stopRunner(t *testing.T, of build.Build) {
	t.Helper()
	found := buildtest.Leftovers(t, "TOWLINE_TEST_BUILD="+of.Dir)
	marked := map[int]bool{}
	all, err := process.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found {
		var pid int
		if _, err := fmt.Sscanf(line, "/proc/%d/", &pid); err == nil {
			marked[pid] = true
		}
	}
	for _, p := range all {
		if marked[p.PID] && !marked[p.Parent] {
			if err := syscall.Kill(p.Parent, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("the runner is not to be found beside %q", found)
}
