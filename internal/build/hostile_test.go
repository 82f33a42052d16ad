//go:build linux

package build

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/internal/buildspec"
)

// TestReportsThatAreNoFilesHoldNothingUp leaves a named pipe behind a link, as
// a hostile build can: who opens it for reading waits for a writer for ever.
func TestReportsThatAreNoFilesHoldNothingUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Symlink("pipe", filepath.Join(dir, "report.xml"))); err != nil {
		t.Fatal(err)
	}
	trees, err := openTrees(plan{Build: Build{Source: dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer trees.close()
	ended := make(chan string, 1)
	go func() {
		var log bytes.Buffer
		trees.readReports([]buildspec.Report{{Name: "unit", Files: []string{"*.xml"}, Format: "JUNITXML"}}, &log)
		pipe := file{root: trees.source(), path: "report.xml", name: "report.xml", link: true}
		if err := copyOut(pipe, trees.source(), "copy"); err == nil {
			log.WriteString("; and the pipe was copied")
		}
		ended <- log.String()
	}()
	select {
	case got := <-ended:
		if want := "warning: report unit: report.xml: it is not a regular file\n"; got != want {
			t.Errorf("log %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("reading a named pipe does not end")
	}
}
