package pod_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/deploy/imagetest"
)

// TestTheProductRunsBuilds uses the program that users have, in the image that
// it makes of itself; the other tests have a small one.
func TestTheProductRunsBuilds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	program := filepath.Join(t.TempDir(), "towline")
	if err := imagetest.Compile(t.Context(), "../../../cmd/towline", program); err != nil {
		t.Fatal(err)
	}
	reference, err := agent.Publish(t.Context(), agent.Target{Reference: b.images.registry.Host + "/towline", Insecure: true, Executables: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	b.config.AgentImage = func(context.Context) (string, error) { return reference, nil }
	of := buildtest.New(t, "echo one > lock; codebuild-hash-files lock | wc -c", `echo "$IMAGE_SAYS"`)
	if _, err := b.backend(t).Run(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	lines := buildtest.Lines(t, of)
	if diff := cmp.Diff([]string{"[build] $ echo \"$IMAGE_SAYS\"", "hello"}, lines[max(0, len(lines)-2):]); diff != "" || lines[2] != "65" {
		t.Errorf("the log is %q", lines)
	}
	b.none(t)
}
