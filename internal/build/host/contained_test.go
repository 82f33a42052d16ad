package host_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build/buildtest"
)

// TestABuildLeavesNothingInSharedDirectories needs root, as namespaces do.
func TestABuildLeavesNothingInSharedDirectories(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // without a box these directories are the machine's
	}
	h := newHost(t, false)
	for _, build := range []string{"first", "next"} {
		b := buildtest.New(t, `for dir in /tmp /var/tmp /dev/shm; do
	ls -A $dir | sed "s|^|found $dir/|"
	echo text > $dir/towline-left && echo "wrote $dir"
done`, `df -k --output=size /dev/shm | tail -n 1 | tr -d ' '`)
		ended, err := h.Run(t.Context(), b)
		lines := buildtest.Lines(t, b)
		if p, failed := ended.Failed(); err != nil || failed {
			t.Fatalf("the %s build: %v, %+v\n%s", build, err, p.Failure, strings.Join(lines, "\n"))
		}
		got := slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "[") || strings.HasPrefix(l, "host backend: ")
		})
		want := []string{"wrote /tmp", "wrote /var/tmp", "wrote /dev/shm", "1048576"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the %s build (-want +got):\n%s", build, diff)
		}
	}
	for _, file := range []string{"/var/tmp/towline-left", "/dev/shm/towline-left"} {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s is left on the machine", file)
		}
	}
}
