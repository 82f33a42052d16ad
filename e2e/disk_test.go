package e2e_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// TestFullDisk fills the disk of the data directory: the execution ends with
// an error that says so, nothing half-made stays, and the same commit goes
// through once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := unix.Mount("tmpfs", data, "tmpfs", 0, "size=120m"); err != nil {
		t.Fatalf("mount a small disk (this test needs root): %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(data, unix.MNT_DETACH) })
	s := &towline{t: t, data: filepath.Join(data, "towline"), listen: freeAddress(t), env: append(os.Environ(), "GIT_TERMINAL_PROMPT=0")}
	t.Cleanup(func() { s.kill(15) })
	s.up()
	ballast := make([]byte, 40<<20)
	_, _ = rand.Read(ballast)
	repo := s.repository("full", map[string]string{
		"towline.yaml": "pipeline: full\nstages:\n  - name: Test\n    actions: [{name: unit, build: {commands: [ls -l ballast]}}]\n",
		"ballast":      string(ballast),
	})
	e := s.await(repo.push("First").ID)
	var said string
	for _, stage := range e.Stages {
		for _, a := range stage.Actions {
			if a.Result != nil {
				said += a.Result.Message
			}
		}
	}
	if e.Status != pipeline.ExecutionFailed || !strings.Contains(said, "no space left on device") || !strings.Contains(said, s.data) {
		t.Fatalf("%s is %s: %s", e.ID, e.Status, said)
	}
	if left, _ := exec.Command("find", filepath.Join(s.data, "artifacts"), "-size", "+1M").Output(); len(left) > 0 {
		t.Errorf("half an artifact is left: %s", left)
	}
	if err := unix.Mount("tmpfs", data, "tmpfs", unix.MS_REMOUNT, "size=600m"); err != nil {
		t.Fatal(err)
	}
	again, err := s.api().Run(t.Context(), "full", client.RunRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.succeeded(s.await(again.ID))
}
