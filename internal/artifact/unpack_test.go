package artifact

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is one entry of an archive that a stranger made.
type entry struct {
	name, text string
	mode       fs.FileMode
	size       uint64 // declared, when it is a lie
}

func foreign(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		if e.mode == 0 {
			h.SetMode(0o644)
		}
		w, err := zw.CreateHeader(h)
		must(t, err)
		if !strings.HasSuffix(e.name, "/") {
			_, err = io.WriteString(w, e.text)
			must(t, err)
		}
	}
	must(t, zw.Close())
	return b.Bytes()
}

func (s *Store) putBytes(t testing.TB, b []byte) string {
	t.Helper()
	digest, _, err := s.put(t.Context(), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	must(t, err)
	return digest
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	link := fs.ModeSymlink | 0o777
	cases := []struct {
		name string
		zip  []byte
		want string
	}{
		{"a name that climbs out", foreign(t, entry{name: "../evil"}), "leads out"},
		{"a name that climbs out in the middle", foreign(t, entry{name: "a/../../evil"}), "leads out"},
		{"an absolute name", foreign(t, entry{name: "/evil"}), "leads out"},
		{"an empty name", foreign(t, entry{name: ""}), "not a path"},
		{"a name with a zero byte", foreign(t, entry{name: "a\x00b"}), "not a path"},
		{"an absolute link", foreign(t, entry{"l", "/etc", link, 0}), "leads out"},
		{"a link that climbs out", foreign(t, entry{"d/l", "../../x", link, 0}), "leads out"},
		{"a file below a link", foreign(t, entry{"l", "d", link, 0}, entry{name: "l/evil"}), "file and a directory"},
		{"a file below a link, the file first", foreign(t, entry{name: "l/evil"}, entry{"l", "d", link, 0}), "twice"},
		{"links that leave together", foreign(t, entry{"a/b/c", "../..", link, 0}, entry{"e", "a/b/c/../x", link, 0}), "cannot be followed"},
		{"a device", foreign(t, entry{name: "d", mode: fs.ModeDevice | 0o644}), "neither a file"},
		{"a name that appears twice", foreign(t, entry{name: "a"}, entry{name: "./a"}), "twice"},
		{"more entries than the limit", foreign(t, slices.Repeat([]entry{{name: "a/"}}, 101)...), "limit is 100"},
		{"more directories than the limit", foreign(t, entry{name: strings.Repeat("d/", 200)}), "directories"},
		{"more bytes than the limit", foreign(t, entry{name: "a", text: strings.Repeat("0", 600)}, entry{name: "b", text: strings.Repeat("0", 600)}), "limit of 1000 bytes"},
		{"something that is no archive", []byte("PK\x03\x04 nothing"), "archive's directory"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.limits = Limits{Files: 100, Bytes: 1000}
			parent := t.TempDir()
			dir := filepath.Join(parent, "in")
			err := s.Unpack(t.Context(), s.putBytes(t, c.zip), dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
			if entries, _ := os.ReadDir(parent); len(entries) > 1 {
				t.Errorf("written outside: %v", entries)
			}
		})
	}
}

func TestUnpackBombIsCutOffThoughItLies(t *testing.T) {
	t.Parallel()
	b := foreign(t, entry{name: "a", text: strings.Repeat("0", 1<<20)})
	// The directory declares one byte: patch the uncompressed size there.
	at := bytes.LastIndex(b, []byte("PK\x01\x02"))
	copy(b[at+24:], []byte{1, 0, 0, 0})
	s := setup(t)
	s.limits.Bytes = 1000
	dir := t.TempDir()
	if err := s.Unpack(t.Context(), s.putBytes(t, b), dir); err == nil {
		t.Fatal("a file larger than it declares was accepted")
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err == nil && info.Size() > 1001 {
		t.Errorf("%d bytes were written", info.Size())
	}
}

func TestUnpackOverAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	digest, _, err := s.Pack(t.Context(), tree(t, map[string]string{"a": "new", "d/b*": "new", "l@": "a"}), nil)
	must(t, err)
	outside := tree(t, map[string]string{"secret": "keep"})
	dir := tree(t, map[string]string{"d/b": "old", "l@": "d/b", "a@": filepath.Join(outside, "secret")})
	must(t, s.Unpack(t.Context(), digest, dir))
	want := map[string]string{"a": "new", "d/b*": "new", "l@": "a"}
	if d := cmp.Diff(want, read(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"secret": "keep"}, read(t, outside)); d != "" {
		t.Errorf("outside (-want +got):\n%s", d)
	}
}
