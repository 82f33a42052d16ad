package cache_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/buildspec"
)

// archiveOf makes an archive of these entries.
func archiveOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(zipped)
	for _, h := range headers {
		h.Mode, h.Format = 0o6755, tar.FormatPAX
		text := ""
		if h.Typeflag == tar.TypeReg {
			text = "hostile"
			h.Size = int64(len(text))
		}
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, archives cache.Archives, text []byte) {
	t.Helper()
	err := archives.Put(context.Background(), cache.Entry{}, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnArchiveCannotReachOutOfItsPlaces(t *testing.T) {
	t.Parallel()
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
	}
	whole := archiveOf(t, file("source/a"))
	for name, c := range map[string]struct {
		archive []byte
		want    map[string]string
		dropped bool
	}{
		"a path that goes up":                {archiveOf(t, file("source/../../evil")), map[string]string{}, true},
		"an absolute path":                   {archiveOf(t, file("/evil")), map[string]string{}, false},
		"a place that there is not":          {archiveOf(t, file("elsewhere/evil"), file("source/a")), map[string]string{"a": "hostile"}, false},
		"a link that goes up":                {archiveOf(t, link("source/l", "../evil")), map[string]string{}, true},
		"an absolute link":                   {archiveOf(t, link("source/l", "/etc")), map[string]string{}, true},
		"a link out through another one":     {archiveOf(t, link("source/a/b/c", "../.."), link("source/d", "a/b/c/../../evil")), map[string]string{"a/b/c": "-> ../.."}, true},
		"a file through a link":              {archiveOf(t, link("source/l", "."), file("source/l/a")), map[string]string{"l": "-> .", "a": "hostile"}, false},
		"a device":                           {archiveOf(t, tar.Header{Name: "source/d", Typeflag: tar.TypeChar}), map[string]string{}, true},
		"a hard link":                        {archiveOf(t, tar.Header{Name: "source/d", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}), map[string]string{}, true},
		"an archive that was cut off":        {whole[:len(whole)-6], map[string]string{}, true},
		"what is no archive":                 {[]byte("<html>"), map[string]string{}, true},
		"the place itself as a file":         {archiveOf(t, file("source")), map[string]string{}, true},
		"a file that is also a directory":    {archiveOf(t, file("source/a"), file("source/a/b")), map[string]string{"a": "hostile"}, true},
		"bits that give rights are not kept": {archiveOf(t, file("source/a")), map[string]string{"a": "hostile"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
			put(t, archives, c.archive)
			m := newMachine(t, archives, nil)
			m.restore(t, buildspec.Cache{Paths: []string{"a"}})
			if diff := cmp.Diff(c.want, m.files(t)); diff != "" {
				t.Errorf("(-want +got)\n%s%s", diff, m.log.String())
			}
			if _, err := os.Lstat(filepath.Join(m.source, "..", "evil")); err == nil {
				t.Error("a file was written outside")
			}
			if info, err := os.Stat(m.path("a")); err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				t.Errorf("a file has the mode %v", info.Mode())
			}
			_, archive, err := archives.Find(t.Context(), "", nil)
			if err == nil {
				_ = archive.Close()
			}
			if errors.Is(err, cache.ErrNone) != c.dropped || c.dropped != strings.Contains(m.log.String(), "is dropped") {
				t.Errorf("dropped: %v\n%s", err, m.log.String())
			}
		})
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(archiveOf(f, tar.Header{Name: "source/a", Typeflag: tar.TypeReg}))
	f.Add(archiveOf(f, tar.Header{Name: "home/l", Linkname: "../x", Typeflag: tar.TypeSymlink}, tar.Header{Name: "home/l/b", Typeflag: tar.TypeReg}))
	f.Fuzz(func(t *testing.T, text []byte) {
		archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
		put(t, archives, text)
		m := newMachine(t, archives, nil)
		m.restore(t, buildspec.Cache{Paths: []string{"a"}})
		around, err := os.ReadDir(filepath.Dir(m.source))
		if err != nil || len(around) != 2 {
			t.Errorf("beside the places there are %v, %v", around, err)
		}
	})
}
