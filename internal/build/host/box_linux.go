package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
)

// mountPoint is where a boxed build finds its files: the same for each build,
// so that the caches of compilers, which know files by their path, hit. Only
// the processes of the build see something there.
const mountPoint = "/run/towline/build"

// sharedMemory bounds the /dev/shm of a boxed build, which takes the machine's
// memory. The databases beside a build do not use it.
const sharedMemory = "size=1g,mode=1777"

// errUnboxed says that this system forbids what a box needs.
var errUnboxed = errors.New("namespaces are not allowed here")

// places are the directories of a build as its commands see them.
type places struct {
	source, inputs, home, temp, cache, services string
	// control holds the command files, which the build reads and cannot write.
	control string
	// program is Towline's own, for the tools on the commands' search path.
	program string
}

// enter makes the directories of the build and, in a box, shows them to this
// process and its children, with a /tmp, /var/tmp and /dev/shm of their own. It
// returns the instructions with the paths as they are then.
func enter(in instructions) (instructions, places, error) {
	box := filepath.Join(in.Dir, boxDir)
	p := places{
		source: in.Source, inputs: filepath.Join(in.Dir, build.InputsDir), cache: in.Cache,
		home: filepath.Join(box, "home"), temp: filepath.Join(box, "tmp"),
		services: filepath.Join(box, servicesDir), control: filepath.Join(box, "control"),
	}
	for _, dir := range []string{box, p.home, p.temp, p.services, p.control} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return in, places{}, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	// As /tmp is, for phases that run as another user.
	if err := os.Chmod(p.temp, 0o777|fs.ModeSticky); err != nil {
		return in, places{}, fmt.Errorf("make the build's directories: %w", err)
	}
	if in.User >= 0 {
		for _, dir := range []string{p.home, p.temp, p.services, p.source, p.inputs} {
			if err := own(dir, in.User); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return in, places{}, err
			}
		}
	}
	if in.Boxed {
		return mount(in, p, box)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return in, places{}, fmt.Errorf("become the parent of the build's orphans: %w", err)
	}
	if in.User >= 0 {
		// Without a box the build's user passes through the build's directory,
		// which is otherwise closed to all but the server.
		if err := os.Chmod(in.Dir, 0o711); err != nil {
			return in, places{}, fmt.Errorf("let the build's user pass: %w", err)
		}
	}
	p.program = linked(box)
	return in, p, reachable(in.User, p)
}

// linked is a path of this program that the build's user can enter: its own may
// lie where that user may not look.
func linked(box string) string {
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	link := filepath.Join(box, programFile)
	if err := os.Link(program, link); err != nil {
		return program // on another file system, or not allowed
	}
	return link
}

// inBox is the path of a part of the box as the build sees it.
func inBox(name ...string) string {
	return filepath.Join(append([]string{mountPoint}, name...)...)
}

// mount makes the build's view of the file system. What the runner itself needs
// is shown in a directory that only root can enter: /tmp, where it may lie, is
// hidden.
func mount(in instructions, p places, box string) (instructions, places, error) {
	seen := places{
		source: inBox("src"), inputs: inBox(build.InputsDir), cache: inBox("cache"), home: inBox("home"), temp: "/tmp",
		services: inBox(servicesDir), control: inBox("control"), program: inBox(programFile),
	}
	moved := in
	moved.Dir, moved.Templates, moved.LogFile = inBox("own", "job"), inBox("own", "templates"), inBox("own", "action.log")
	if in.Archives != "" {
		moved.Archives = inBox("own", "archives")
	}
	for _, dir := range []string{"src", build.InputsDir, "cache", "own/job", "own/templates", "own/archives"} {
		if err := os.MkdirAll(filepath.Join(box, dir), 0o700); err != nil {
			return in, places{}, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	for _, name := range []string{"own/action.log", programFile} {
		file, err := os.OpenFile(filepath.Join(box, name), os.O_CREATE, 0o600)
		if err != nil {
			return in, places{}, fmt.Errorf("make the build's directories: %w", err)
		}
		_ = file.Close()
	}
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		return in, places{}, fmt.Errorf("%w: %w", errUnboxed, err)
	}
	kept := filepath.Join(box, keptTempDir)
	if err := errors.Join(os.MkdirAll(kept, 0o700), os.Chmod(kept, 0o777|fs.ModeSticky)); err != nil {
		return in, places{}, fmt.Errorf("make the build's directories: %w", err)
	}
	for _, m := range []struct {
		from, to, kind string
		flags          uintptr
	}{
		// What is mounted here stays here; what the machine unmounts later is
		// not kept busy.
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE},
		{box, mountPoint, "", unix.MS_BIND},
		{p.source, seen.source, "", unix.MS_BIND},
		{p.inputs, seen.inputs, "", unix.MS_BIND},
		{p.cache, seen.cache, "", unix.MS_BIND},
		{in.Dir, moved.Dir, "", unix.MS_BIND},
		{in.Templates, moved.Templates, "", unix.MS_BIND},
		{in.Archives, moved.Archives, "", unix.MS_BIND},
		{in.LogFile, moved.LogFile, "", unix.MS_BIND},
		{"/proc/self/exe", seen.program, "", unix.MS_BIND},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	} {
		if _, err := os.Stat(m.from); m.from == p.inputs && errors.Is(err, fs.ErrNotExist) || m.to == "" {
			continue
		}
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, ""); err != nil {
			return in, places{}, fmt.Errorf("%w: mount %s: %w", errUnboxed, m.to, err)
		}
	}
	if err := coverWritable(seen.temp); err != nil {
		return in, places{}, err
	}
	return moved, seen, introduce(in.User)
}

// keptTempDir is the part of the box that the build sees as /var/tmp.
const keptTempDir = "var-tmp"

// coverWritable puts the build's own over the directories of the machine in
// which everybody may write: what it leaves there is gone with it, and it finds
// nothing of others. They come last, and from the box where it is seen, since
// the build's directory may lie in one of them.
func coverWritable(temp string) error {
	for _, m := range []struct {
		from, to, kind, data string
		flags                uintptr
	}{
		{"tmpfs", "/dev/shm", "tmpfs", sharedMemory, unix.MS_NOSUID | unix.MS_NODEV},
		{inBox(keptTempDir), "/var/tmp", "", "", unix.MS_BIND},
		{inBox("tmp"), temp, "", "", unix.MS_BIND},
	} {
		// Not every machine has all of them.
		if _, err := os.Stat(m.to); errors.Is(err, fs.ErrNotExist) && m.to != temp {
			continue
		}
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("%w: mount %s: %w", errUnboxed, m.to, err)
		}
	}
	return nil
}

// introduce gives the build's user a name in the build's view of the machine:
// initdb and others refuse to run as a user without one.
func introduce(uid int) error {
	users, err := os.ReadFile("/etc/passwd")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("introduce the build's user: %w", err)
	}
	text := strings.TrimRight(string(users), "\n") + fmt.Sprintf("\nbuild:x:%d:%d:Towline build:%s:/bin/sh\n", uid, uid, inBox("home"))
	file := inBox("passwd")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // as /etc/passwd is
		return fmt.Errorf("introduce the build's user: %w", err)
	}
	if err := unix.Mount(file, "/etc/passwd", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("%w: mount /etc/passwd: %w", errUnboxed, err)
	}
	return nil
}

// leave undoes the mounts of enter, so that what was mounted can be removed.
func leave(in instructions, p places) error {
	if !in.Boxed {
		return nil
	}
	var errs []error
	for _, at := range []string{p.temp, "/var/tmp", "/dev/shm", "/etc/passwd", p.program, p.source, p.inputs, p.cache, in.Dir, in.Templates, in.Archives, in.LogFile, mountPoint} {
		// What is not mounted or not there, such as further inputs, is not an
		// error.
		if at == "" {
			continue
		}
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}

// reachable checks that a user may enter the directories of its build: without
// a box it goes to them through all that lie above.
func reachable(uid int, p places) error {
	if uid < 0 {
		return nil
	}
	for _, dir := range []string{p.source, p.cache} {
		for dir = filepath.Dir(dir); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return fmt.Errorf("look at the way to the build's files: %w", err)
			}
			if info.Mode().Perm()&0o001 == 0 {
				return fmt.Errorf("the build's user %d cannot enter %s; run chmod o+x %s, or give Towline a data directory elsewhere", uid, dir, dir)
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}
