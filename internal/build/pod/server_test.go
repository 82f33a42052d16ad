package pod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/report"
)

// serverOrder is the variable that makes the test binary a server which runs
// one build.
const serverOrder = "TOWLINE_TEST_SERVER"

// order is what such a server is to do.
type order struct {
	Build               build.Build
	Dir                 string
	Namespace           string
	Agent, Image, Owner string
}

func serve(text string) int {
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (o order) run(ctx context.Context) error {
	backend, err := pod.New(pod.Config{
		Connect:    func(context.Context, string) (*kube.Cluster, error) { return kube.Connect("", "") },
		AgentImage: func(context.Context) (string, error) { return o.Agent, nil },
		Owner:      o.Owner, Image: o.Image, Namespace: o.Namespace,
	})
	if err != nil {
		return err
	}
	b := o.Build
	b.Dir, b.Source, b.LogFile = o.Dir, filepath.Join(o.Dir, "src"), filepath.Join(o.Dir, "action.log")
	b.Restore = func(context.Context) error { return errors.New("nothing was lost") }
	log, err := report.OpenLog(b.LogFile)
	if err != nil {
		return err
	}
	defer log.Close()
	// As an action's own lines, which stand between those of the build.
	fmt.Fprintf(log, "server: begins\n")
	b.Log = log
	ended, err := backend.Run(ctx, b)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(ended)
}

// TestAServerThatIsKilledLosesNoLine kills servers at any moment, from the
// making of the Pod to the fetching of its files.
func TestAServerThatIsKilledLosesNoLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	of := buildtest.New(t,
		"echo run >> count",
		"for i in $(seq 1 400); do echo line $i; sleep 0.01; done",
		"seq 401 40000 | sed 's/^/line /'",
		"seq 1 20000 > made; cat count",
	)
	o := order{Build: of, Dir: of.Dir, Namespace: b.namespace, Agent: b.images.agent, Image: b.images.tools, Owner: b.namespace}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for wait := 300 * time.Millisecond; ; wait += 170 * time.Millisecond {
		server := exec.CommandContext(t.Context(), os.Args[0])
		server.Env = append(os.Environ(), serverOrder+"="+string(text))
		var out, words strings.Builder
		server.Stdout, server.Stderr = &out, &words
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		killed := time.AfterFunc(wait, func() { _ = server.Process.Kill() })
		err := server.Wait()
		if killed.Stop() {
			if err != nil || !strings.Contains(out.String(), `"name":"build"`) {
				t.Fatalf("%v: %s%s", err, out.String(), words.String())
			}
			break
		}
		kills++
	}
	if kills < 5 {
		t.Errorf("the server was killed only %d times", kills)
	}
	var want, got []string
	for i := range 40000 {
		want = append(want, fmt.Sprintf("line %d", i+1))
	}
	for _, line := range buildtest.Lines(t, of) {
		if strings.HasPrefix(line, "line ") || line == "run" {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(append(want, "run"), got); diff != "" {
		t.Error("lines (-want +got)\n", diff)
	}
	files, err := os.ReadFile(filepath.Join(of.Source, "made"))
	if err != nil || strings.Count(string(files), "\n") != 20000 {
		t.Errorf("the build's file has %d lines: %v", strings.Count(string(files), "\n"), err)
	}
	t.Logf("%d servers were killed", kills)
	b.none(t)
}
