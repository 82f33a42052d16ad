package artifact

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob/memblob"
)

// FuzzUnpack gives archives of strangers to Unpack: it must not panic, write
// outside its directory, or leave a link that leads out of it.
func FuzzUnpack(f *testing.F) {
	link := fs.ModeSymlink | 0o777
	f.Add(foreign(f, entry{name: "a", text: "1"}, entry{name: "d/"}, entry{name: "d/b", text: "2"}))
	f.Add(foreign(f, entry{"l", "d/b", link, 0}, entry{name: "d/b", text: strings.Repeat("x", 3000)}))
	f.Add(foreign(f, entry{name: "../evil"}, entry{name: "/evil"}))
	f.Add(foreign(f, entry{"a/b/c", "../..", link, 0}, entry{"e", "a/b/c/../x", link, 0}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	// In memory, for nothing is synced to a disk there.
	s, err := New(f.Context(), Config{Bucket: memblob.OpenBucket(nil), Limits: Limits{Files: 50, Bytes: 1 << 16}})
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		err := s.Unpack(t.Context(), s.putBytes(t, b), dir)
		if entries, _ := os.ReadDir(parent); len(entries) > 1 {
			t.Fatalf("written outside: %v", entries)
		}
		root, openErr := os.OpenRoot(dir)
		must(t, openErr)
		defer root.Close()
		var bytes int64
		must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, walkErr error) error {
			must(t, walkErr)
			info, infoErr := d.Info()
			must(t, infoErr)
			switch {
			case d.Type()&fs.ModeSymlink != 0:
				rel, _ := filepath.Rel(dir, name)
				if _, statErr := root.Stat(rel); statErr != nil && !os.IsNotExist(statErr) {
					t.Fatalf("link %s leads out: %v (unpack said %v)", rel, statErr, err)
				}
			case d.Type().IsRegular():
				bytes += info.Size()
			case !d.IsDir():
				t.Fatalf("%s is a %s", name, d.Type())
			}
			return nil
		}))
		if bytes > s.limits.Bytes+1 {
			t.Fatalf("%d bytes written, limit %d", bytes, s.limits.Bytes)
		}
	})
}

func BenchmarkPackAndUnpack(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir())
	must(b, err)
	dir, out := b.TempDir(), b.TempDir()
	text := []byte(strings.Repeat("package main // a line of source\n", 1<<15))
	for i := range 20 {
		data := noise(2 << 20)
		if i%2 == 0 {
			data = text
		}
		must(b, os.WriteFile(filepath.Join(dir, string(rune('a'+i))), data, 0o644))
	}
	b.SetBytes(10*(2<<20) + 10*int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		digest, _, err := s.Pack(b.Context(), dir, nil)
		must(b, err)
		must(b, s.Unpack(b.Context(), digest, out))
	}
}
