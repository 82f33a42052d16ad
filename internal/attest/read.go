package attest

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime/debug"
	"strings"
)

// file is one file of an image.
type file struct {
	name   string // in the image, without the first slash
	size   int64
	runs   bool // somebody may execute it
	stream io.Reader
	direct io.ReaderAt // nil when there is the stream alone
}

// Limits of what is read, in bytes.
const (
	largestText = 64 << 20 // a database of packages
	largestFile = 1 << 30  // a program or an archive
	smallText   = 1 << 20
)

// unreadError says why something that may tell of packages was not read: it is
// no reason to give up.
type unreadError struct{ why string }

func (e *unreadError) Error() string { return e.why }

func unread(format string, args ...any) error { return &unreadError{fmt.Sprintf(format, args...)} }

// reader reads what one kind of file tells.
type reader func(file) (packages []Package, err error)

// tells reports whether the name alone says that the file tells of packages.
func (f file) tells() bool { return f.reader() != nil }

func (f file) reader() reader {
	dir, base := path.Split(f.name)
	switch {
	case strings.HasSuffix(f.name, "lib/apk/db/installed"):
		return whole(parseAPK)
	case f.name == "var/lib/dpkg/status", dir == "var/lib/dpkg/status.d/" && !strings.HasSuffix(base, ".md5sums"):
		return whole(parseDPKG)
	case (dir == "var/lib/rpm/" || dir == "usr/lib/sysimage/rpm/") && (base == "rpmdb.sqlite" || base == "Packages" || base == "Packages.db"):
		return func(file) ([]Package, error) { return nil, unread("databases of RPM are not read") }
	case base == "package.json" && inNodeModules(dir):
		return small(parseNPM)
	case base == "METADATA" && strings.HasSuffix(dir, ".dist-info/"), base == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info/"):
		return small(parsePython)
	}
	if isJar(base) {
		return readJar
	}
	return nil
}

// read is what the file tells: of packages, or of the system.
func (f file) read() (packages []Package, system string, err error) {
	if f.name == "etc/os-release" || f.name == "usr/lib/os-release" {
		text, err := f.text(smallText)
		return nil, systemOf(text), err
	}
	if read := f.reader(); read != nil {
		packages, err = read(f)
		return packages, "", err
	}
	if !f.runs || f.size < 1<<16 {
		return nil, "", nil
	}
	packages, err = readProgram(f)
	return packages, "", err
}

func whole(parse func([]byte) []Package) reader {
	return func(f file) ([]Package, error) {
		text, err := f.text(largestText)
		return parse(text), err
	}
}

func small(parse func([]byte) []Package) reader {
	return func(f file) ([]Package, error) {
		if f.size > smallText {
			return nil, unread("it is larger than such a file is")
		}
		text, err := f.text(smallText)
		return parse(text), err
	}
}

func (f file) text(most int64) ([]byte, error) {
	if f.size > most {
		return nil, unread("it is larger than %d MiB", most>>20)
	}
	return io.ReadAll(io.LimitReader(f.stream, most))
}

// open makes the file readable at any place; done ends that.
func (f file) open(stream io.Reader) (at io.ReaderAt, done func(), err error) {
	if f.direct != nil {
		return f.direct, func() {}, nil
	}
	if f.size > largestFile {
		return nil, nil, unread("it is larger than %d MiB", int64(largestFile)>>20)
	}
	temp, err := os.CreateTemp("", "towline-layer-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		_ = temp.Close()
		_ = os.Remove(temp.Name())
	}
	if _, err := io.Copy(temp, io.LimitReader(stream, largestFile)); err != nil {
		done()
		return nil, nil, err
	}
	return temp, done, nil
}

// readProgram lists the modules of a program that Go has linked.
func readProgram(f file) ([]Package, error) {
	begin := make([]byte, 4)
	if _, err := io.ReadFull(f.stream, begin); err != nil || !bytes.Equal(begin, []byte("\x7fELF")) {
		return nil, nil // it is no program
	}
	at, done, err := f.open(io.MultiReader(bytes.NewReader(begin), f.stream))
	if err != nil {
		return nil, err
	}
	defer done()
	info, err := buildinfo.Read(at)
	if err != nil {
		return nil, nil // it is no program of Go's
	}
	packages := []Package{{Kind: "golang", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if module.Replace != nil {
			module = module.Replace
		}
		if module.Path != "" {
			packages = append(packages, Package{Kind: "golang", Name: module.Path, Version: strings.TrimSuffix(module.Version, "(devel)")})
		}
	}
	return packages, nil
}

// systemOf is the ID in an os-release file.
func systemOf(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok {
			return strings.Trim(id, `"'`)
		}
	}
	return ""
}

// stanzas reads paragraphs of fields, "Key: value" or with apk's "K:value".
// Lines that go on from the one before are left out.
func stanzas(text []byte, field func(key, value string), end func()) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			end()
			continue
		}
		if key, value, ok := strings.Cut(string(line), ":"); ok && line[0] != ' ' && line[0] != '\t' {
			field(key, strings.TrimSpace(value))
		}
	}
	end()
}

func parseAPK(text []byte) []Package {
	var all []Package
	p := Package{Kind: "apk"}
	stanzas(text, func(key, value string) {
		switch key {
		case "P":
			p.Name = value
		case "V":
			p.Version = value
		case "A":
			p.Arch = value
		case "L":
			p.License = value
		}
	}, func() {
		if p.Name != "" {
			all = append(all, p)
		}
		p = Package{Kind: "apk"}
	})
	return all
}

// parseDPKG lists the packages that are installed: others stay in the database
// with their configuration.
func parseDPKG(text []byte) []Package {
	var all []Package
	p, status := Package{Kind: "deb"}, ""
	stanzas(text, func(key, value string) {
		switch key {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Status":
			status = value
		}
	}, func() {
		// Images without a package manager have no status.
		if p.Name != "" && (status == "" || strings.HasSuffix(status, " installed")) {
			all = append(all, p)
		}
		p, status = Package{Kind: "deb"}, ""
	})
	return all
}

// inNodeModules tells whether a directory is that of an installed package:
// node_modules/NAME or node_modules/@SCOPE/NAME.
func inNodeModules(dir string) bool {
	above := path.Dir(path.Clean(dir))
	if strings.HasPrefix(path.Base(above), "@") {
		above = path.Dir(above)
	}
	return path.Base(above) == "node_modules"
}

func parseNPM(text []byte) []Package {
	var said struct {
		Name    string          `json:"name"`
		Version string          `json:"version"`
		License json.RawMessage `json:"license"`
	}
	if json.Unmarshal(text, &said) != nil || said.Name == "" || said.Version == "" {
		return nil
	}
	p := Package{Kind: "npm", Name: said.Name, Version: said.Version}
	_ = json.Unmarshal(said.License, &p.License) // older ones have an object
	if scope, name, ok := strings.Cut(said.Name, "/"); ok {
		p.Namespace, p.Name = scope, name
	}
	return []Package{p}
}

func parsePython(text []byte) []Package {
	p := Package{Kind: "pypi"}
	header, _, _ := bytes.Cut(text, []byte("\n\n"))
	stanzas(header, func(key, value string) {
		switch {
		case key == "Name" && p.Name == "":
			p.Name = strings.ToLower(strings.ReplaceAll(value, "_", "-"))
		case key == "Version" && p.Version == "":
			p.Version = value
		case key == "License" && len(value) < 100:
			p.License = value
		}
	}, func() {})
	if p.Name == "" {
		return nil
	}
	return []Package{p}
}
