package artifact

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/memblob"
	"golang.org/x/sys/unix"
)

func setup(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// tree writes files below a new directory: "name" for content, "name@" for a
// link, "name/" for an empty directory, "name*" for an executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, strings.TrimRight(name, "@*/"))
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(full, 0o755))
		case strings.HasSuffix(name, "@"):
			must(t, os.Symlink(text, full))
		case strings.HasSuffix(name, "*"):
			must(t, os.WriteFile(full, []byte(text), 0o755))
		default:
			must(t, os.WriteFile(full, []byte(text), 0o644))
		}
	}
}

// read is the inverse of tree.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		must(t, err)
		switch {
		case d.IsDir():
			if entries, _ := os.ReadDir(name); len(entries) == 0 {
				files[rel+"/"] = ""
			}
		case d.Type()&fs.ModeSymlink != 0:
			files[rel+"@"], err = os.Readlink(name)
		case info.Mode()&0o111 != 0:
			files[rel+"*"] = string(content(t, name))
		default:
			files[rel] = string(content(t, name))
		}
		return err
	}))
	return files
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackAndUnpack(t *testing.T) {
	t.Parallel()
	everything := map[string]string{
		"go.mod": "module web", "bin/web*": "\x7fELF", "static/a.css": "a{}", "empty/": "",
		"current@": "bin/web", "static/up@": "../go.mod", "dangling@": "nowhere", `odd\name`: "x",
	}
	cases := []struct {
		name  string
		have  map[string]string
		files []string
		want  map[string]string
	}{
		{"everything comes back", everything, nil, everything},
		{".git stays out, at any depth", map[string]string{"a": "1", ".git/HEAD": "x", "sub/.git": "gitdir: y", ".gitignore": "z"},
			nil, map[string]string{"a": "1", ".gitignore": "z", "sub/": ""}},
		{"only the named files", map[string]string{"a": "1", "b": "2", "c/d": "3"}, []string{"b"}, map[string]string{"b": "2"}},
		{"a named directory with all below it", map[string]string{"a": "1", "c/d": "3", "c/e/f": "4"},
			[]string{"c", "c/d"}, map[string]string{"c/d": "3", "c/e/f": "4"}},
		{"links that leave the directory stay out", map[string]string{"a": "1", "abs@": "/etc/passwd", "up@": "../x", "loop@": "loop"},
			nil, map[string]string{"a": "1"}},
		{"a link that leaves through another link stays out",
			map[string]string{"a/b/c@": "../..", "e@": "a/b/c/../x"}, nil, map[string]string{"a/b/c@": "../.."}},
		{"nothing at all", nil, nil, map[string]string{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, dir := setup(t), t.TempDir()
			digest, size, err := s.Pack(t.Context(), tree(t, c.have), c.files)
			must(t, err)
			must(t, s.Unpack(t.Context(), digest, dir))
			if d := cmp.Diff(c.want, read(t, dir)); d != "" {
				t.Errorf("unpacked files (-want +got):\n%s", d)
			}
			if got, err := s.Stat(t.Context(), digest); err != nil || got != size {
				t.Errorf("Stat = %d, %v; want %d", got, err, size)
			}
		})
	}
}

func TestPackIsDeterministic(t *testing.T) {
	t.Parallel()
	s := setup(t)
	files := map[string]string{"b": "2", "a/x*": "1", "a-b": "3", "l@": "b"}
	one, _, err := s.Pack(t.Context(), tree(t, files), nil)
	must(t, err)
	later := tree(t, files)
	must(t, os.Chtimes(filepath.Join(later, "b"), timeOf(1), timeOf(2)))
	two, _, err := s.Pack(t.Context(), later, []string{"l", "b", "a", "a-b", "b"})
	must(t, err)
	if one != two {
		t.Errorf("digests of the same files: %s and %s", one, two)
	}
	must(t, os.Chmod(filepath.Join(later, "b"), 0o755))
	three, _, err := s.Pack(t.Context(), later, nil)
	must(t, err)
	if one == three {
		t.Error("a changed mode left the digest as it was")
	}
	r, size, err := s.Open(t.Context(), one)
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	zr, err := zip.NewReader(bytes.NewReader(b), size)
	must(t, err)
	for _, f := range zr.File {
		if want := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC); !f.Modified.Equal(want) {
			t.Errorf("%s is of %s; want %s", f.Name, f.Modified, want)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "1", "abs@": "/etc/passwd", "d/up@": "../../x", "e/b": "1", "link@": "e"})
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	cases := []struct{ name, file, want string }{
		{"a file that is missing", "nope", "no such file"},
		{"a path that climbs out", "../a", "not inside the directory"},
		{"an absolute path", "/etc/passwd", "not inside the directory"},
		{"an absolute link", "abs", "outside the artifact"},
		{"a link that climbs out, below a named directory", "d", "d/up: it is a symbolic link to ../../x"},
		{"a FIFO", "pipe", "not a regular file"},
		{"a path through a link that is packed too", "link/b", "through the symbolic link"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			_, _, err := s.Pack(t.Context(), dir, []string{"link", c.file})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
			if left := read(t, s.dir); len(left) > 1 { // tmp/
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestPackTakesNoMoreThanUnpackWould(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "1", "b": "1", "c": "1"})
	must(t, os.Truncate(filepath.Join(dir, "c"), 10_000)) // sparse: it takes no room here
	for _, c := range []struct {
		want   string
		limits Limits
	}{
		{"larger than the limit of 10001 bytes", Limits{Files: 3, Bytes: 10_001}},
		{"there are 3 files and directories and the limit is 2", Limits{Files: 2, Bytes: 10_002}},
		{"", Limits{Files: 3, Bytes: 10_002}},
	} {
		s := setup(t)
		s.limits = c.limits
		_, _, err := s.Pack(t.Context(), dir, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("limits %+v: error %v; want one with %q", c.limits, err, c.want)
		}
	}
}

func TestDamagedAndUnknown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	digest, _, err := s.Pack(t.Context(), tree(t, map[string]string{"a": strings.Repeat("x", 5000)}), nil)
	must(t, err)
	k, err := key(digest)
	must(t, err)
	file := filepath.Join(s.dir, k)
	b := content(t, file)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(file, b, 0o600))
	dir := t.TempDir()
	if err := s.Unpack(t.Context(), digest, dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a flipped bit: error %v", err)
	}
	if got := read(t, dir); len(got) != 0 {
		t.Errorf("files of a damaged archive: %v", got)
	}
	if _, _, err := s.Pack(t.Context(), tree(t, map[string]string{"a": strings.Repeat("x", 5000)}), nil); err != nil {
		t.Fatal(err)
	}
	must(t, s.Unpack(t.Context(), digest, dir)) // packing again mended it

	missing := "sha256:" + strings.Repeat("0", 64)
	if err := s.Unpack(t.Context(), missing, dir); !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown digest: error %v", err)
	}
	if _, err := s.Stat(t.Context(), missing); !errors.Is(err, ErrNotFound) {
		t.Errorf("Stat of an unknown digest: error %v", err)
	}
	for _, bad := range []string{"", "sha256:", "../../etc/passwd", "sha256:" + strings.Repeat("g", 64), missing + "/.."} {
		if _, _, err := s.Open(t.Context(), bad); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Open(%q) error %v; want one about its form", bad, err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "256k")
	s, err := Open(t.Context(), dir)
	must(t, err)
	small, _, err := s.Pack(t.Context(), tree(t, map[string]string{"a": "1"}), nil)
	must(t, err)
	big := tree(t, nil)
	must(t, os.WriteFile(filepath.Join(big, "noise"), noise(1<<20), 0o644))
	before := read(t, dir)

	_, _, err = s.Pack(t.Context(), big, nil)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left for artifacts in "+dir) {
		t.Errorf("pack on a full disk: error %v", err)
	}
	if d := cmp.Diff(before, read(t, dir)); d != "" {
		t.Errorf("left on the disk (-before +after):\n%s", d)
	}
	must(t, s.Unpack(t.Context(), small, t.TempDir()))

	other := setup(t)
	digest, _, err := other.Pack(t.Context(), big, nil)
	must(t, err)
	err = other.Unpack(t.Context(), digest, filepath.Join(dir, "out"))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, "out")) {
		t.Errorf("unpack on a full disk: error %v", err)
	}
}

// tmpfs mounts a small file system of its own, so that "disk full" is real.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs (this test needs root, as `make test` runs it): %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func TestConcurrentPacksOfOneTree(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := tree(t, map[string]string{"a": strings.Repeat("1", 10000), "b/c": "2"})
	var wg sync.WaitGroup
	digests := make([]string, 8)
	for i := range digests {
		wg.Go(func() {
			var err error
			if digests[i], _, err = s.Pack(t.Context(), dir, nil); err != nil {
				t.Error(err)
			}
			if err := s.Unpack(t.Context(), digests[i], t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("digests %v", digests)
	}
	if left, _ := os.ReadDir(s.temp); len(left) > 0 {
		t.Errorf("left in %s: %v", s.temp, left)
	}
}

func TestBucketThatIsNoDirectory(t *testing.T) {
	t.Parallel()
	cfg := Default()
	cfg.Bucket = memblob.OpenBucket(nil)
	s, err := New(t.Context(), cfg)
	must(t, err)
	defer s.Close()
	files := map[string]string{"a": "1", "b/c*": "2"}
	for range 2 {
		digest, size, err := s.Pack(t.Context(), tree(t, files), nil)
		must(t, err)
		dir := t.TempDir()
		must(t, s.Unpack(t.Context(), digest, dir))
		if d := cmp.Diff(files, read(t, dir)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got, err := s.Stat(t.Context(), digest); err != nil || got != size {
			t.Errorf("Stat = %d, %v; want %d", got, err, size)
		}
	}
}

func TestOpenLocations(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "artifacts")
	s, err := Open(t.Context(), "file://"+dir)
	must(t, err)
	digest, _, err := s.Pack(t.Context(), tree(t, map[string]string{"a": "1"}), nil)
	must(t, err)
	stale := filepath.Join(s.temp, "archive-1")
	must(t, os.WriteFile(stale, nil, 0o600))
	must(t, os.Chtimes(stale, timeOf(0), timeOf(0)))
	must(t, s.Close())
	again, err := Open(t.Context(), dir)
	must(t, err)
	must(t, again.Unpack(t.Context(), digest, t.TempDir()))
	for name := range read(t, dir) {
		if strings.HasSuffix(name, ".attrs") || strings.Contains(name, "archive-") {
			t.Errorf("litter in the store: %s", name)
		}
	}
	for _, bad := range []string{"s3://bucket", "file://host/x", "file:///x?metadata=skip", "://"} {
		if _, err := Open(t.Context(), bad); err == nil {
			t.Errorf("Open(%q) succeeded", bad)
		}
	}
}

func TestCancelledPackLeavesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by hand")
	cancel(stop)
	if _, _, err := s.Pack(ctx, tree(t, map[string]string{"a": "1"}), nil); !errors.Is(err, stop) {
		t.Errorf("error %v; want the cause", err)
	}
}
