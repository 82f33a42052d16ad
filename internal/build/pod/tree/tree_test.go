package tree_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/towline/towline/internal/build/pod/tree"
)

// listing says what is below a directory, a line for each path.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		below, _ := filepath.Rel(dir, path)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			found[below] = "directory " + info.Mode().Perm().String()
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			found[below] = "link to " + target
		default:
			text, _ := os.ReadFile(path)
			found[below] = fmt.Sprintf("%s %s %s", info.Mode().Perm(), info.ModTime().UTC().Format(time.DateTime), text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func pack(t *testing.T, dir string, unchanged func(string, fs.FileInfo) bool, texts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	p, err := tree.NewPacker(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if err := p.Text("text", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Tree("src", dir, unchanged); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(stream []byte, dir string, limits tree.Limits) error {
	u, err := tree.NewUnpacker(bytes.NewReader(stream), limits)
	if err != nil {
		return err
	}
	defer u.Close()
	return u.Trees(map[string]string{"src": dir})
}

func TestATreeArrivesAsItWas(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	write(t, from, map[string]string{"a": "1", "b/c": strings.Repeat("x", 1<<20), "empty/file": ""})
	must(t, os.Chmod(filepath.Join(from, "a"), 0o755), os.Symlink("b/c", filepath.Join(from, "link")), os.Symlink("/etc", filepath.Join(from, "out")),
		os.Mkdir(filepath.Join(from, "none"), 0o750), os.Chtimes(filepath.Join(from, "a"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	write(t, to, map[string]string{"b": "a file where a directory comes", "link/x": "a directory where a link comes", "stays": "."})
	must(t, unpack(pack(t, from, nil), to, tree.Limits{}))
	want := listing(t, from)
	want["stays"] = listing(t, to)["stays"]
	if diff := cmp.Diff(want, listing(t, to)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyChangesTravel(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	write(t, from, map[string]string{"same": "1", "changed": "22", "gone/deep/file": "3", "turned": "4", "removed": "5", "dir/x": "6"})
	must(t, unpack(pack(t, from, nil), to, tree.Limits{}))
	before, err := tree.Take(from)
	must(t, err)
	info, err := os.Stat(filepath.Join(from, "changed"))
	must(t, err)
	write(t, from, map[string]string{"changed": "33", "new/file": "7"})
	// Of the same size, and with its old time: the inode tells.
	must(t, os.Chtimes(filepath.Join(from, "changed"), info.ModTime(), info.ModTime()),
		os.RemoveAll(filepath.Join(from, "gone")), os.Remove(filepath.Join(from, "removed")),
		os.Remove(filepath.Join(from, "turned")), os.Mkdir(filepath.Join(from, "turned"), 0o755),
		os.RemoveAll(filepath.Join(from, "dir")), os.Symlink("same", filepath.Join(from, "dir")))
	gone, err := before.Gone()
	must(t, err)
	if diff := cmp.Diff([]string{"dir/x", "gone", "gone/deep", "gone/deep/file", "removed"}, gone); diff != "" {
		t.Error("gone (-want +got)\n", diff)
	}
	var sent []string
	stream := pack(t, from, func(below string, info fs.FileInfo) bool {
		if before.Unchanged(below, info) {
			return true
		}
		sent = append(sent, below)
		return false
	})
	if diff := cmp.Diff([]string{"changed", "dir", "new/file"}, sent); diff != "" {
		t.Error("sent (-want +got)\n", diff)
	}
	must(t, tree.Remove(to, gone), unpack(stream, to, tree.Limits{}))
	if diff := cmp.Diff(listing(t, from), listing(t, to)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

// stream makes a stream of headers, as a hostile Pod could.
func stream(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(zipped)
	for _, h := range headers {
		if err := archive.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 3}
}

func link(name, target string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func TestNothingIsWrittenOutside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []*tar.Header
		limits  tree.Limits
	}{
		"by a name that leads up":          {[]*tar.Header{file("src/../../evil")}, tree.Limits{}},
		"by an absolute name":              {[]*tar.Header{file("/evil")}, tree.Limits{}},
		"by the name of another tree":      {[]*tar.Header{file("other/evil")}, tree.Limits{}},
		"in the place of the tree":         {[]*tar.Header{file("src")}, tree.Limits{}},
		"through a link that was sent":     {[]*tar.Header{link("src/out", ".."), file("src/out/evil")}, tree.Limits{}},
		"through an absolute link":         {[]*tar.Header{link("src/out", "/tmp"), file("src/out/evil")}, tree.Limits{}},
		"through a link that is there":     {[]*tar.Header{file("src/there/evil")}, tree.Limits{}},
		"by a hard link":                   {[]*tar.Header{{Typeflag: tar.TypeLink, Name: "src/evil", Linkname: "/etc/passwd"}}, tree.Limits{}},
		"as a device":                      {[]*tar.Header{{Typeflag: tar.TypeChar, Name: "src/evil"}}, tree.Limits{}},
		"of more than there may be":        {[]*tar.Header{file("src/a"), file("src/b")}, tree.Limits{Bytes: 5}},
		"in more files than there may be":  {[]*tar.Header{file("src/a"), file("src/b")}, tree.Limits{Entries: 1}},
		"with a link in the tree's place":  {[]*tar.Header{link("src", "/tmp")}, tree.Limits{}},
		"with a name that is no clean one": {[]*tar.Header{file("src//a/./b")}, tree.Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			dir := filepath.Join(top, "src")
			must(t, os.Mkdir(dir, 0o755), os.Mkdir(filepath.Join(top, "other"), 0o755), os.Symlink("../other", filepath.Join(dir, "there")))
			err := unpack(stream(t, c.headers...), dir, c.limits)
			if err == nil {
				t.Error("it was taken")
			}
			for path := range listing(t, top) {
				if strings.Contains(path, "evil") {
					t.Errorf("%s was written", path)
				}
			}
		})
	}
}

func TestAStreamThatIsCutOffIsNotTaken(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	write(t, from, map[string]string{"a": "1", "b": "2"})
	whole := pack(t, from, nil)
	for n := range whole {
		if err := unpack(whole[:n], t.TempDir(), tree.Limits{}); err == nil {
			t.Fatalf("%d of %d bytes were taken for the whole", n, len(whole))
		}
	}
}

func TestNothingIsRemovedOutside(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write(t, top, map[string]string{"other/file": "1", "src/file": "2"})
	dir := filepath.Join(top, "src")
	must(t, os.Symlink("../other", filepath.Join(dir, "there")))
	for _, path := range []string{"../other/file", "/etc/nothing", ".", "there/file", "a/.."} {
		if err := tree.Remove(dir, []string{path}); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	must(t, tree.Remove(dir, []string{"there", "nothing"}))
	if got := listing(t, top); len(got) != 4 {
		t.Errorf("left: %v", got)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(stream(f, file("src/a"), link("src/b", "a")))
	f.Add(stream(f, link("src/out", ".."), file("src/out/evil")))
	f.Add([]byte("no stream"))
	f.Fuzz(func(t *testing.T, text []byte) {
		// The archive is made from the text, so that it need not be found again
		// behind the compression.
		var out bytes.Buffer
		zipped, _ := zstd.NewWriter(&out)
		_, _ = zipped.Write(text)
		_ = zipped.Close()
		top := t.TempDir()
		dir := filepath.Join(top, "src")
		must(t, os.Mkdir(dir, 0o755))
		for _, s := range [][]byte{text, out.Bytes()} {
			_ = unpack(s, dir, tree.Limits{Bytes: 1 << 16, Entries: 100})
		}
		entries, err := os.ReadDir(top)
		if err != nil || len(entries) != 1 {
			t.Errorf("beside the tree: %v %v", entries, err)
		}
	})
}
