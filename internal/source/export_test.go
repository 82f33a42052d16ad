package source

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files lists a tree: content, "-> target" of a link, "dir" of an empty
// directory; "x " before the content of what can be executed.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			got[rel] = "-> " + target
			return err
		case d.IsDir():
			entries, err := os.ReadDir(name)
			if len(entries) == 0 {
				got[rel] = "dir"
			}
			return err
		}
		data, err := os.ReadFile(name)
		info, _ := d.Info()
		if info.Mode()&0o100 != 0 {
			got[rel] = "x "
		}
		got[rel] += string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExport(t *testing.T) {
	t.Parallel()

	t.Run("writes what a checkout would, with odd names", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		want := map[string]string{
			"README": "hello\n", "with space": "1", "line\nbreak": "2", "byte\xff": "3", "tab\tand \"quote\"": "4", "-rf": "5",
			"a -> b": "6", "deep/er/x": "7", "run.sh": "x #!/bin/sh\n",
			".gitattributes": "tests/ export-ignore\nversion.txt export-subst\ncrlf.txt text eol=crlf\n",
			"tests/unit":     "8", "version.txt": "$Format:%H$\n", "crlf.txt": "a\r\n",
			"star*": "9", ":(top)x": "10",
		}
		for name, content := range want {
			c.write(name, strings.TrimPrefix(content, "x "))
		}
		c.git("add", "--all")
		c.git("update-index", "--chmod=+x", "run.sh")
		c.git("commit", "--quiet", "--message", "Odd names")
		commit := c.git("rev-parse", "HEAD")
		c.git("push", "origin", "main")
		dir := filepath.Join(t.TempDir(), "new", "tree")
		tree := must[Tree](t)(s.Export(t.Context(), "web", commit, dir))
		if diff := cmp.Diff(want, files(t, dir)); diff != "" {
			t.Errorf("tree (-want +got):\n%s", diff)
		}
		if tree.Files != len(want) || tree.LeftOut != nil || tree.Submodules != nil {
			t.Errorf("told of %+v", tree)
		}
		if left, _ := filepath.Glob(filepath.Join(s.dir, scratch+"*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})

	t.Run("keeps symbolic links that stay inside and no others", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		keep := map[string]string{
			"to-file": "README", "to-dir": "sub", "to-nothing": "not/yet", "sub/up": "../README", "to-top": ".",
			"sub/round": "../sub/../README",
		}
		drop := map[string]string{
			"absolute": "/etc/passwd", "outside": "../../etc/passwd", "sub/outside": "../../x",
			"through": "to-top/../secret", // its text stays inside, its way does not
			"again":   "outside",
			"a -> b":  "/etc",
			"loop":    "loop",
		}
		c.write("sub/file", "x")
		for _, links := range []map[string]string{keep, drop} {
			for name, target := range links {
				if err := os.Symlink(target, filepath.Join(c.dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		commit := c.commit("README", "hello\n", "Link")
		c.git("push", "origin", "main")
		dir := t.TempDir()
		tree := must[Tree](t)(s.Export(t.Context(), "web", commit, dir))
		want := map[string]string{"README": "hello\n", "sub/file": "x"}
		for name, target := range keep {
			want[name] = "-> " + target
		}
		if diff := cmp.Diff(want, files(t, dir)); diff != "" {
			t.Errorf("tree (-want +got):\n%s", diff)
		}
		var left []string
		for name, target := range drop {
			left = append(left, name+" -> "+target)
		}
		slices.Sort(left)
		slices.Sort(tree.LeftOut)
		if diff := cmp.Diff(left, tree.LeftOut); diff != "" {
			t.Errorf("left out (-want +got):\n%s", diff)
		}
	})

	t.Run("names submodules and leaves them empty", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		c.write(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = https://example.com/lib.git\n")
		c.git("add", ".gitmodules")
		c.git("update-index", "--add", "--cacheinfo", "160000,"+c.git("rev-parse", "HEAD")+",lib")
		c.git("commit", "--quiet", "--message", "Add a submodule")
		c.git("push", "origin", "main")
		dir := t.TempDir()
		tree := must[Tree](t)(s.Export(t.Context(), "web", c.git("rev-parse", "HEAD"), dir))
		if diff := cmp.Diff([]string{"lib"}, tree.Submodules); diff != "" {
			t.Errorf("submodules (-want +got):\n%s", diff)
		}
		if files(t, dir)["lib"] != "dir" {
			t.Errorf("tree is %v", files(t, dir))
		}
	})

	t.Run("of an empty commit is an empty directory", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		c.git("rm", "--quiet", "README")
		c.git("commit", "--quiet", "--message", "Remove all")
		c.git("push", "origin", "main")
		dir := t.TempDir()
		must[Tree](t)(s.Export(t.Context(), "web", c.git("rev-parse", "HEAD"), dir))
		if got := files(t, dir); len(got) > 0 {
			t.Errorf("tree is %v", got)
		}
	})

	t.Run("refuses a tree without bound, before it writes", func(t *testing.T) {
		t.Parallel()
		s := setup(t, func(c *Config) { c.MaxFiles = 1000 }, nil)
		c := work(t, s.create(t, "web"))
		// Ten levels of ten names each for the same tree: 10^10 files in a dozen objects.
		blob := c.git("hash-object", "-w", "README")
		line := "100644 blob " + blob
		for range 10 {
			var list strings.Builder
			for i := range 10 {
				list.WriteString(line + "\tf" + string(rune('0'+i)) + "\n")
			}
			cmd := c.command("mktree")
			cmd.Stdin = strings.NewReader(list.String())
			line = "040000 tree " + strings.TrimSpace(string(must[[]byte](t)(cmd.Output())))
		}
		commit := c.git("commit-tree", "-m", "Bomb", strings.Fields(line)[2])
		c.git("push", "origin", commit+":refs/heads/main")
		dir := t.TempDir()
		_, err := s.Export(t.Context(), "web", commit, dir)
		wantKind(t, err, ErrTooLarge)
		if got := files(t, dir); len(got) > 0 {
			t.Errorf("it wrote %v", got)
		}
	})

	t.Run("is not changed by a replaced object", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		commit := c.git("rev-parse", "HEAD")
		other := c.commit("README", "evil\n", "Replace")
		c.git("push", "origin", commit+":refs/heads/main", other+":refs/replace/"+commit)
		dir := t.TempDir()
		must[Tree](t)(s.Export(t.Context(), "web", commit, dir))
		if got := files(t, dir)["README"]; got != "hello\n" {
			t.Errorf("README is %q", got)
		}
	})

	t.Run("refuses what is not there", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		c.git("push", "origin", "main")
		_, err := s.Export(t.Context(), "shop", strings.Repeat("1", 40), t.TempDir())
		wantKind(t, err, ErrNoRepository)
		_, err = s.Export(t.Context(), "web", strings.Repeat("1", 40), t.TempDir())
		wantKind(t, err, ErrNoRevision)
		_, err = s.Export(t.Context(), "web", "main", t.TempDir())
		wantKind(t, err, ErrInvalid)
		full := t.TempDir()
		if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *Error
		if _, err = s.Export(t.Context(), "web", c.git("rev-parse", "HEAD"), full); err == nil || errors.As(err, &refused) {
			t.Errorf("export into a full directory: %v", err)
		}
	})
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	c.write("dir/towline.yaml", "pipeline: web\n")
	c.write("empty", "")
	c.write("large", strings.Repeat("x", MaxRead+1))
	c.write("largest", strings.Repeat("x", MaxRead))
	for name, target := range map[string]string{"link": "dir/towline.yaml", "out": "../x", "absolute": "/etc/passwd", "dangling": "gone", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(c.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	commit := c.commit("README", "hello", "Add files")
	c.git("push", "origin", "main")

	for path, want := range map[string]string{"README": "hello", "dir/towline.yaml": "pipeline: web\n", "link": "pipeline: web\n", "empty": "", "largest": strings.Repeat("x", MaxRead)} {
		if got := must[[]byte](t)(s.ReadFile(t.Context(), "web", commit, path)); string(got) != want {
			t.Errorf("%s has %d bytes, want %d", path, len(got), len(want))
		}
	}
	for path, kind := range map[string]error{
		"nothing": ErrNoFile, "dir": ErrNoFile, "dir/nothing": ErrNoFile, "README/x": ErrNoFile,
		"out": ErrNoFile, "absolute": ErrNoFile, "dangling": ErrNoFile, "loop": ErrNoFile,
		"large": ErrTooLarge, "../x": ErrInvalid, "/etc/passwd": ErrInvalid, "./README": ErrInvalid, "": ErrInvalid,
		"a\nb": ErrInvalid,
	} {
		data, err := s.ReadFile(t.Context(), "web", commit, path)
		if data != nil {
			t.Errorf("%q gave %.20q", path, data)
		}
		wantKind(t, err, kind)
	}
	_, err := s.ReadFile(t.Context(), "web", strings.Repeat("1", 40), "README")
	wantKind(t, err, ErrNoRevision)
}

func FuzzReadScan(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte("100644 blob " + hash + "      12\ta\x00120000 blob " + hash + "       3\tl\x00160000 commit " + hash + "       -\ts\x00"))
	f.Add([]byte("100644 blob"))
	r := &Repositories{cfg: Config{MaxFiles: 10, MaxTree: 100}}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := r.readScan(strings.NewReader(string(in)))
		if err == nil && (s.tree.Files > 10 || s.tree.Bytes > 100) {
			t.Errorf("the limit lets %+v pass", s.tree)
		}
	})
}

func FuzzParseObject(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte(hash + " blob 5\nhello\n"))
	f.Add([]byte("symlink 4\n../x\n"))
	f.Add([]byte(hash + " tree 0\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		data, err := parseObject(in, "web", hash, "x")
		if err == nil && !bytes.Contains(in, data) {
			t.Errorf("%q gives %q", in, data)
		}
	})
}
