package attest

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// deepest is how far archives are looked into that lie in each other: an
	// application of Spring in an ear has two.
	deepest = 3
	// largestInner bounds an archive within an archive, which is read into
	// memory, and mostEntries how many files one may have.
	largestInner = 128 << 20
	mostEntries  = 200_000
)

// readJar lists what a Java archive is and what lies in it.
func readJar(f file) ([]Package, error) {
	at, done, err := f.open(f.stream)
	if err != nil {
		return nil, err
	}
	defer done()
	return jar{at, f.size, path.Base(f.name), 1}.packages()
}

type jar struct {
	at    io.ReaderAt
	size  int64
	name  string
	depth int
}

func (j jar) packages() ([]Package, error) {
	archive, err := zip.NewReader(j.at, j.size)
	if err != nil {
		return nil, unread("it is no archive that can be read: %v", err)
	}
	if len(archive.File) > mostEntries {
		return nil, unread("it has more than %d files", mostEntries)
	}
	var own, inner []Package
	manifest := map[string]string{}
	for _, entry := range archive.File {
		switch name := entry.Name; {
		case strings.HasPrefix(name, "META-INF/maven/") && path.Base(name) == "pom.properties":
			if p, ok := maven(properties(entry, "=")); ok {
				own = append(own, p)
			}
		case name == "META-INF/MANIFEST.MF":
			manifest = properties(entry, ":")
		case strings.EqualFold(path.Ext(name), ".jar") && j.depth < deepest:
			found, err := j.inside(entry)
			if err != nil {
				return nil, err
			}
			inner = append(inner, found...)
		}
	}
	if len(own) == 0 {
		if p, ok := j.guess(manifest); ok {
			own = []Package{p}
		}
	}
	return append(own, inner...), nil
}

// inside looks into an archive within this one.
func (j jar) inside(entry *zip.File) ([]Package, error) {
	if entry.UncompressedSize64 > largestInner {
		return nil, unread("%s in it is larger than %d MiB", entry.Name, largestInner>>20)
	}
	body, err := entryText(entry, largestInner)
	if err != nil {
		return nil, unread("%s in it cannot be read: %v", entry.Name, err)
	}
	found, err := jar{bytes.NewReader(body), int64(len(body)), path.Base(entry.Name), j.depth + 1}.packages()
	if err != nil {
		return nil, unread("%s in it: %v", entry.Name, err)
	}
	return found, nil
}

func entryText(entry *zip.File, most int64) ([]byte, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most))
}

// properties reads a file of keys and values. One that cannot be read has none.
func properties(entry *zip.File, separator string) map[string]string {
	text, _ := entryText(entry, smallText)
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' || line[0] == ' ' {
			continue
		}
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), separator); ok {
			found[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return found
}

func maven(p map[string]string) (Package, bool) {
	found := Package{Kind: "maven", Namespace: p["groupId"], Name: p["artifactId"], Version: p["version"]}
	return found, found.Namespace != "" && found.Name != ""
}

// versioned is the name of a file with the version in it.
var versioned = regexp.MustCompile(`^(.+?)-([0-9][^/]*)$`)

// guess makes do with the manifest and the file's name where Maven has left
// nothing.
func (j jar) guess(manifest map[string]string) (Package, bool) {
	stem := strings.TrimSuffix(j.name, path.Ext(j.name))
	p := Package{Kind: "maven", Name: stem}
	if parts := versioned.FindStringSubmatch(stem); parts != nil {
		p.Name, p.Version = parts[1], parts[2]
	}
	keys := []string{"Implementation-Version", "Bundle-Version", "Specification-Version"}
	if i := slices.IndexFunc(keys, func(key string) bool { return manifest[key] != "" }); i >= 0 && p.Version == "" {
		p.Version = manifest[keys[i]]
	}
	p.Namespace = manifest["Implementation-Vendor-Id"]
	return p, p.Version != ""
}
