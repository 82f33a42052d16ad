package enclosure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// askVariable has this program say what Runtime does.
const askVariable = "TOWLINE_TEST_RUNTIME"

func TestMain(m *testing.M) {
	if os.Getenv(askVariable) != "" {
		fmt.Println(Runtime())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestContainersNeedRoot(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody may look into the directory where the test's program is.
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "program")
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[uint32]string{0: "/", 65534: " the server is not root; run it as root"} {
		cmd := exec.CommandContext(t.Context(), file)
		cmd.Env = append(Environ(), askVariable+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		said, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(said), want) {
			t.Errorf("as user %d: got %q, %v; want %q", user, said, err, want)
		}
	}
}

func TestEnviron(t *testing.T) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	t.Setenv("PATH", "/home/somebody/bin")
	t.Setenv("https_proxy", "http://proxy.example.com")
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	plain := []string{"PATH=" + SearchPath, "https_proxy=http://proxy.example.com"}
	if d := cmp.Diff(plain, Environ()); d != "" {
		t.Errorf("of no names (-want +got):\n%s", d)
	}
	named := slices.Sorted(slices.Values(Environ("HOME", "PATH")))
	if d := cmp.Diff([]string{"HOME=/home/somebody", "PATH=/home/somebody/bin", "PATH=" + SearchPath, "https_proxy=http://proxy.example.com"}, named); d != "" {
		t.Errorf("of names (-want +got):\n%s", d)
	}
}
