package attest

import (
	"archive/zip"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// readJar lists what a Java archive is and what lies in it. What is in it and
// was left out is told as an unreadError, beside what was found.
func readJar(f file) ([]Package, error) {
	at, done, err := f.open(f.stream)
	if err != nil {
		return nil, err
	}
	defer done()
	all := newDig()
	found, err := jar{at: at, size: f.size, name: path.Base(f.name), depth: 1, dig: all}.packages()
	if err != nil {
		return nil, err
	}
	return found, all.leftOut()
}

// jar is one archive, alone or in another.
type jar struct {
	at    io.ReaderAt
	size  int64
	name  string
	depth int // how many archives it is in, and 1
	dig   *dig
}

func (j jar) packages() ([]Package, error) {
	entries, err := j.dig.list(j.at, j.size)
	if err != nil {
		return nil, err
	}
	var own, inner []Package
	manifest := map[string]string{}
	for _, entry := range entries {
		var err error
		switch name := entry.Name; {
		case strings.HasPrefix(name, "META-INF/maven/") && path.Base(name) == "pom.properties":
			var told map[string]string
			told, err = j.properties(entry, "=")
			if p, ok := maven(told); ok {
				own = append(own, p)
			}
		case name == "META-INF/MANIFEST.MF":
			manifest, err = j.properties(entry, ":")
		case isJar(name):
			var found []Package
			found, err = j.inside(entry)
			inner = append(inner, found...)
		}
		if err := j.dig.skip(entry.Name, err); err != nil {
			return nil, err
		}
	}
	if len(own) == 0 {
		if p, ok := j.guess(manifest); ok {
			own = []Package{p}
		}
	}
	return append(own, inner...), nil
}

// isJar tells whether a file is an archive of Java's, by its name.
func isJar(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear":
		return true
	}
	return false
}

// inside looks into an archive within this one. One that is stored as it is,
// as Spring stores them, is read where it lies, and others from a file that
// they are unpacked to: archives can be larger than memory.
func (j jar) inside(entry *zip.File) ([]Package, error) {
	if j.depth == deepest {
		return nil, unread("it lies deeper than %d archives in each other", deepest)
	}
	within := jar{name: path.Base(entry.Name), depth: j.depth + 1, dig: j.dig}
	if entry.Method == zip.Store && entry.CompressedSize64 == entry.UncompressedSize64 {
		begin, err := entry.DataOffset()
		if err != nil {
			return nil, err
		}
		within.size = int64(min(entry.UncompressedSize64, uint64(j.size)))
		within.at = io.NewSectionReader(j.at, begin, within.size)
		return within.packages()
	}
	var found []Package
	err := j.dig.unpack(entry, mostUnpacked+1, func(r io.Reader) error {
		unpacked := file{name: entry.Name, size: int64(entry.UncompressedSize64)}
		at, done, err := unpacked.open(r)
		if err != nil {
			return err
		}
		defer done()
		within.at, within.size = at, unpacked.size
		found, err = within.packages()
		return err
	})
	return found, err
}

// properties reads a file of keys and values, the first part of one that is
// large: a manifest ends with a list of the files.
func (j jar) properties(entry *zip.File, separator string) (map[string]string, error) {
	found := map[string]string{}
	err := j.dig.unpack(entry, smallText, func(r io.Reader) error {
		text, err := io.ReadAll(r)
		for line := range strings.Lines(string(text)) {
			if line[0] == '#' || line[0] == ' ' {
				continue
			}
			if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), separator); ok {
				found[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		return err
	})
	return found, err
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
