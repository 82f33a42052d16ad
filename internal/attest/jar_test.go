package attest

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packed is a file to go into an archive.
type packed struct {
	name, text string
	stored     bool // not compressed
}

// archiveOf is a zip file with these files, in this order.
func archiveOf(tb testing.TB, files ...packed) string {
	tb.Helper()
	var text bytes.Buffer
	w := zip.NewWriter(&text)
	for _, f := range files {
		method := zip.Deflate
		if f.stored {
			method = zip.Store
		}
		entry, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err == nil {
			_, err = io.WriteString(entry, f.text)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return text.String()
}

func properties(name string) string {
	return "groupId=org.acme\nartifactId=" + name + "\nversion=1\n"
}

// library is a jar that Maven has made.
func library(tb testing.TB, name string) string {
	tb.Helper()
	return archiveOf(tb, packed{name: "META-INF/maven/org.acme/" + name + "/pom.properties", text: properties(name)})
}

// listing is what it costs to list the files of an archive.
func listing(tb testing.TB, archive string) int64 {
	tb.Helper()
	d := newDig()
	if _, err := d.list(strings.NewReader(archive), int64(len(archive))); err != nil {
		tb.Fatal(err)
	}
	return mostListed - d.listed
}

// packagesOf are the packages in an archive, by their names.
func packagesOf(d *dig, archive string) (names []string, err error) {
	found, err := jar{at: strings.NewReader(archive), size: int64(len(archive)), name: "web.ear", depth: 1, dig: d}.packages()
	for _, p := range found {
		names = append(names, p.Name)
	}
	return names, errors.Join(err, d.leftOut())
}

func TestArchivesInArchivesAreLookedInto(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]bool{"compressed": false, "as Spring stores them": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			war := archiveOf(t, packed{name: "WEB-INF/lib/a.jar", text: library(t, "a"), stored: stored})
			ear := archiveOf(t, packed{name: "web.war", text: war, stored: stored}, packed{name: "lib/b.JAR", text: library(t, "b"), stored: stored})
			got, err := packagesOf(newDig(), ear)
			if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || err != nil {
				t.Errorf("%v, packages (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestWhatAnArchiveMayCostIsBoundedOverAllThatLieInIt(t *testing.T) {
	t.Parallel()
	a, b := library(t, "a"), library(t, "b")
	two := archiveOf(t, packed{name: "a.jar", text: a}, packed{name: "b.jar", text: b})
	nested := library(t, "a")
	for range deepest {
		nested = archiveOf(t, packed{name: "in.jar", text: nested, stored: true})
	}
	const broken = "no archive"
	for name, c := range map[string]struct {
		dig     *dig
		archive string
		want    []string
		left    string
	}{
		"nothing is left out below the bounds": {newDig(), two, []string{"a", "b"}, ""},
		"by the bytes that are unpacked":       {&dig{unpacked: int64(len(a) + len(properties("a")) + len(b) - 1), listed: mostListed, entries: mostEntries}, two, []string{"a"}, `"b.jar" in it: all archives in each other unpack to more than 1024 MiB`},
		"by the files that are listed":         {&dig{unpacked: mostUnpacked, listed: mostListed, entries: 3}, two, []string{"a"}, `"b.jar" in it: all archives in each other have more than 200000 files`},
		"by the bytes of the lists":            {&dig{unpacked: mostUnpacked, listed: listing(t, two) + listing(t, a), entries: mostEntries}, two, []string{"a"}, `"b.jar" in it: the lists of files of all archives in each other have more than 32 MiB`},
		"by how deep they lie":                 {newDig(), nested, nil, `"in.jar" in it: it lies deeper than 4 archives in each other`},
		"and what is broken hides nothing else": {
			newDig(), archiveOf(t, packed{name: "1.jar", text: broken}, packed{name: "a.jar", text: a}, packed{name: "2\n.jar", text: broken, stored: true}, packed{name: "3.jar", text: broken}, packed{name: "4.jar", text: broken}, packed{name: "5.jar"}),
			[]string{"a"}, `"1.jar" in it: it is no archive that can be read: zip: not a valid zip file; "2\n.jar" in it: it is no archive that can be read: zip: not a valid zip file; "3.jar" in it: it is no archive that can be read: zip: not a valid zip file; and 2 more`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := packagesOf(c.dig, c.archive)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			left := ""
			if err != nil {
				left = err.Error()
			}
			if diff := cmp.Diff(c.left, left); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatWasFoundIsKeptBesideWhatWasLeftOut holds that an archive's bounds
// take nothing from the bill but what lies beyond them.
func TestWhatWasFoundIsKeptBesideWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	ear := archiveOf(t, packed{name: "a.jar", text: library(t, "a")}, packed{name: "b.jar", text: "no archive"})
	found := contents{Packages: map[string][]Package{}}
	if err := found.add(file{name: "app/web.ear", size: int64(len(ear)), stream: strings.NewReader(ear)}); err != nil {
		t.Fatal(err)
	}
	want := contents{
		Packages: map[string][]Package{"app/web.ear": {{Kind: "maven", Namespace: "org.acme", Name: "a", Version: "1"}}},
		Unread:   []string{`app/web.ear: "b.jar" in it: it is no archive that can be read: zip: not a valid zip file`},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzJar looks into whatever calls itself a jar. It costs no more than it may.
func FuzzJar(f *testing.F) {
	inner := library(f, "a")
	f.Add([]byte(inner))
	f.Add([]byte(archiveOf(f, packed{name: "a.war", text: inner}, packed{name: "b.jar", text: archiveOf(f, packed{name: "c.jar", text: inner, stored: true}), stored: true})))
	f.Add([]byte(archiveOf(f, packed{name: "META-INF/MANIFEST.MF", text: "Implementation-Version: 1\n" + strings.Repeat("Name: a\n", 500)}, packed{name: "lib/x.jar", text: "no archive"})))
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 4096
		d := &dig{unpacked: most, listed: 16 * most, entries: 40}
		found, err := jar{at: bytes.NewReader(text), size: int64(len(text)), name: "web.jar", depth: 1, dig: d}.packages()
		if _, said := errors.AsType[*unreadError](err); err != nil && !said {
			t.Errorf("error %v", err)
		}
		if d.unpacked < 0 || d.entries < 0 || d.listed < 0 || len(d.left) > mostNamed {
			t.Errorf("%+v is left", d)
		}
		if len(found) > 2*40+1 { // each file may be an archive that is a package itself
			t.Errorf("%d packages of 40 files", len(found))
		}
		_ = d.leftOut()
	})
}
