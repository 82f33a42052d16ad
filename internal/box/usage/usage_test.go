//go:build linux

package usage

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/waittest"
)

func TestSizesAreReadable(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 3 << 29: "1.5 GiB", 64 << 30: "64 GiB", 48 << 20: "48 MiB", 1 << 40: "1 TiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestKilobytesOfATable(t *testing.T) {
	t.Parallel()
	table := "Name:\tRssAnon: 9 kB\nRssAnon:\t    1024 kB\nRssFile:\t 99 kB\nRssShmem:\t 24 kB\nVmSwap:\nRssAnon"
	if got := kilobytes([]byte(table), "RssAnon", "RssShmem", "VmSwap"); got != 1048 {
		t.Errorf("got %d", got)
	}
}

// TestWhatProcessesShareCountsOnce lets a shell with 48 MB start others that have
// them too, without writing to them.
func TestWhatProcessesShareCountsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `x=$(head -c 48000000 /dev/zero | tr '\0' x); for i in 1 2 3 4 5; do (touch "$0/$i"; sleep 600; :) & done; sleep 600; :`, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	waittest.Until(t, "all have begun", func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == 5
	})
	all, err := process.All()
	if err != nil {
		t.Fatal(err)
	}
	var shells []process.Process
	for _, p := range all {
		if p.PID == cmd.Process.Pid || p.Parent == cmd.Process.Pid && p.Name == "sh" {
			shells = append(shells, p)
		}
	}
	if alone, _ := total(shells, own); len(shells) != 6 || alone < 6*48e6 {
		t.Errorf("%d processes have %s, each for itself", len(shells), Size(alone))
	}
	if together, _ := total(shells, share); together < 48e6 || together > 2*48e6 {
		t.Errorf("together they have %s", Size(together))
	}
	w := New(Limits{Memory: 100e6}, nil, false)
	if e := w.held(shells); e != nil {
		t.Error(e)
	}
	w.limits.Memory = 10e6
	if e := w.held(shells); e == nil || e.Kind != Memory || e.Most != "sh" {
		t.Error(e)
	}
}

// holdNameless has a child of this process hold a file open that has no name.
func holdNameless(t *testing.T, dir string, bytes int) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "nameless"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if _, err := file.Write(make([]byte, bytes)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func TestFilesCountOnceAndWithoutHoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, bytes int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, bytes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one", 1<<20)
	write("hole", 0)
	if err := os.Truncate(filepath.Join(dir, "hole"), 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	holdNameless(t, dir, 1<<20)
	d := newDisk(Limits{Disk: 1 << 30}, []Place{{Name: "it", Path: dir}, {Name: "none", Path: filepath.Join(dir, "none")}})
	if e := d.walk(d.systems()); e != nil || d.used < 2<<20 || d.used > 3<<20 {
		t.Errorf("%v, %s are used", e, Size(d.used))
	}
	d.limits = Limits{Disk: 1 << 20}
	if e := d.walk(d.systems()); e == nil || e.Kind != Disk || e.Most != "it" {
		t.Error(e)
	}
	d.limits = Limits{Files: 4}
	if e := d.walk(d.systems()); e == nil || e.Kind != Files || e.Used != 5 {
		t.Error(e)
	}
	d.limits = Limits{Spare: 1 << 30}
	for free, ends := range map[int64]bool{1 << 20: true, 100 << 20: false} {
		systems := d.systems()
		for _, s := range systems {
			s.free = free
		}
		if e := d.walk(systems); (e != nil) != ends || ends && (e.Kind != Space || e.Limit != free) {
			t.Errorf("with %s left: %v", Size(free), e)
		}
	}
}
