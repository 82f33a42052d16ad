package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint is where a boxed build finds its files: the same for each build,
// so that the caches of compilers, which know files by their path, hit. Only
// the processes of the build see something there.
const mountPoint = "/run/towline/build"

// errUnboxed says that this system forbids what a box needs.
var errUnboxed = errors.New("namespaces are not allowed here")

// places are the directories of a build as its commands see them.
type places struct {
	source, inputs, home, temp, cache, services string
	// control holds the command files, which the build reads and cannot write.
	control string
}

// enter makes the directories of the build and, in a box, shows them and
// nothing of other builds to this process and its children.
func enter(in instructions) (places, error) {
	box := filepath.Join(in.Dir, boxDir)
	p := places{
		source: in.Source, inputs: filepath.Join(in.Dir, inputsDir), cache: in.Cache,
		home: filepath.Join(box, "home"), temp: filepath.Join(box, "tmp"),
		services: filepath.Join(box, servicesDir), control: filepath.Join(box, "control"),
	}
	for _, dir := range []string{box, p.home, p.temp, p.services, p.control} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return places{}, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	if in.User >= 0 {
		for _, dir := range []string{p.home, p.temp, p.services, p.source, p.inputs} {
			if err := own(dir, in.User); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return places{}, err
			}
		}
	}
	if !in.Boxed {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return places{}, fmt.Errorf("become the parent of the build's orphans: %w", err)
		}
		return p, reachable(in.User, p)
	}
	return p.mount(in, box)
}

// mount makes the build's view of the file system.
func (p places) mount(in instructions, box string) (places, error) {
	shown := places{
		source: filepath.Join(mountPoint, "src"), inputs: filepath.Join(mountPoint, "in"), cache: filepath.Join(mountPoint, "cache"),
		home: filepath.Join(mountPoint, "home"), temp: filepath.Join(mountPoint, "tmp"),
		services: filepath.Join(mountPoint, servicesDir), control: filepath.Join(mountPoint, "control"),
	}
	for _, name := range []string{"src", "in", "cache"} {
		if err := os.MkdirAll(filepath.Join(box, name), 0o711); err != nil {
			return places{}, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		return places{}, fmt.Errorf("%w: %w", errUnboxed, err)
	}
	mounts := []struct {
		from, to, kind string
		flags          uintptr
	}{
		// What is mounted here stays here; what the machine unmounts later is
		// not kept busy.
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE},
		{box, mountPoint, "", unix.MS_BIND},
		{p.source, shown.source, "", unix.MS_BIND},
		{p.inputs, shown.inputs, "", unix.MS_BIND},
		{p.cache, shown.cache, "", unix.MS_BIND},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	}
	for _, m := range mounts {
		if _, err := os.Stat(m.from); m.from == p.inputs && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, ""); err != nil {
			return places{}, fmt.Errorf("%w: mount %s: %w", errUnboxed, m.to, err)
		}
	}
	return shown, introduce(in.User, box)
}

// introduce gives the build's user a name in the build's view of the machine:
// initdb and others refuse to run as a user without one.
func introduce(uid int, box string) error {
	users, err := os.ReadFile("/etc/passwd")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("introduce the build's user: %w", err)
	}
	text := strings.TrimRight(string(users), "\n") + fmt.Sprintf("\nbuild:x:%d:%d:Towline build:%s:/bin/sh\n", uid, uid, filepath.Join(mountPoint, "home"))
	file := filepath.Join(box, "passwd")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
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
	for _, dir := range []string{p.source, p.inputs, p.cache, "/etc/passwd", mountPoint} {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err))
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
