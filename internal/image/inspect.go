package image

import (
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// inspect warns of an entrypoint that will not start. What it cannot judge,
// because the base has the file, it leaves alone.
func (m *making) inspect(on base, img v1.Image, l *layer) error {
	cfg, err := img.ConfigFile()
	if err != nil || len(cfg.Config.Entrypoint) == 0 {
		return err
	}
	command := cfg.Config.Entrypoint[0]
	at, ours := place(cfg.Config, command, l)
	found, ok := l.follow(at)
	switch {
	case !ok && (on.scratch() || ours && m.cfg.Path != "/"):
		m.say("warning: the entrypoint %s is not in the image; the artifact's files are in %s", command, m.cfg.Path)
	case !ok:
	case !found.mode.IsRegular():
		m.say("warning: the entrypoint %s is not a file", command)
	case found.mode&0o111 == 0:
		m.say("warning: the entrypoint %s is not executable; chmod +x it in the build", command)
	default:
		return m.inspectBinary(on, l, command, found.source)
	}
	return nil
}

// place is the path of a command in the image, without the first slash, and
// whether it is below the directory that the layer's files are in.
func place(c v1.Config, command string, l *layer) (at string, ours bool) {
	switch {
	case path.IsAbs(command):
		at = path.Clean(command)
	case strings.Contains(command, "/"):
		at = path.Join("/", c.WorkingDir, command)
	default:
		for _, dir := range searchPath(c.Env) {
			at = path.Join("/", dir, command)
			if _, ok := l.follow(at[1:]); ok {
				return at[1:], true
			}
		}
		return "", false
	}
	at = at[1:]
	first, _, _ := strings.Cut(at, "/")
	_, ours = l.paths[path.Dir(at)]
	return at, ours && !usual[first]
}

func searchPath(env []string) []string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			return strings.Split(v, ":")
		}
	}
	return strings.Split("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ":")
}

// follow finds a file of the layer through its symbolic links.
func (l *layer) follow(at string) (placed, bool) {
	for range 40 {
		p, ok := l.paths[at]
		if !ok || p.mode&fs.ModeSymlink == 0 {
			return p, ok
		}
		at = strings.TrimPrefix(path.Join("/", path.Dir(at), p.target), "/")
	}
	return placed{}, false
}

// machines are the ELF machines of platforms, by GOARCH.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH,
}

// inspectBinary warns of a program for another processor, and of one that
// needs a dynamic linker which an image from scratch does not have: both end in
// an error at start that does not say so.
func (m *making) inspectBinary(on base, l *layer, command, source string) error {
	root, err := os.OpenRoot(m.files)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	program, ok := readProgram(f)
	if !ok {
		return nil // a script
	}
	if want := machines[on.platform.Architecture]; want != 0 && program.machine != want {
		m.say("warning: the entrypoint %s is built for %s, not for %s", command, strings.TrimPrefix(program.machine.String(), "EM_"), on.platform)
	}
	if program.linker == "" || !on.scratch() {
		return nil
	}
	if _, ok := l.follow(strings.TrimPrefix(program.linker, "/")); !ok {
		m.say("warning: the entrypoint %s is linked dynamically and needs %s, which an image from scratch does not have; build it with CGO_ENABLED=0 or take a base", command, program.linker)
	}
	return nil
}

// program is what an ELF file says of how it wants to be run.
type program struct {
	machine elf.Machine
	linker  string // the dynamic linker that it asks for, or nothing
}

// programHead is how much of a file is looked at, in bytes. Linkers put what
// is asked for here at the start.
const programHead = 64 << 10

// readProgram reads the start of an ELF file. Package elf would read all the
// sections that the file claims to have, so this file claims to have none.
func readProgram(r io.Reader) (program, bool) {
	head, err := io.ReadAll(io.LimitReader(r, programHead))
	if err != nil || len(head) < 64 || !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return program{}, false
	}
	if elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64 {
		clear(head[40:48]) // e_shoff
		clear(head[60:64]) // e_shnum, e_shstrndx
	} else {
		clear(head[32:36])
		clear(head[48:52])
	}
	f, err := elf.NewFile(bytes.NewReader(head))
	if err != nil {
		return program{}, false
	}
	found := program{machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err == nil {
				found.linker, _, _ = strings.Cut(string(text), "\x00")
			}
			break
		}
	}
	return found, true
}
