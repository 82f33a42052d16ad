package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/build"
)

// mountPoint is where a boxed build finds its files: the same for each build,
// so that the caches of compilers, which know files by their path, hit. Only
// the processes of the build see something there.
const mountPoint = "/run/towline/build"

// The /dev/shm of a boxed build, in bytes and files: it takes the machine's
// memory. The databases beside a build do not use it.
const (
	sharedMemory = 1 << 30
	sharedFiles  = 1 << 18
)

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
	place := filepath.Join(in.Dir, boxDir)
	p := places{
		source: in.Source, inputs: filepath.Join(in.Dir, build.InputsDir), cache: in.Cache,
		home: filepath.Join(place, "home"), temp: filepath.Join(place, "tmp"),
		services: filepath.Join(place, servicesDir), control: filepath.Join(place, "control"),
	}
	for _, dir := range []string{place, p.home, p.temp, p.services, p.control} {
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
		return mount(in, p, place)
	}
	if err := process.Adopt(); err != nil {
		return in, places{}, err
	}
	if in.User >= 0 {
		// Without a box the build's user passes through the build's directory,
		// which is otherwise closed to all but the server.
		if err := os.Chmod(in.Dir, 0o711); err != nil {
			return in, places{}, fmt.Errorf("let the build's user pass: %w", err)
		}
	}
	p.program = linked(place)
	if in.User < 0 {
		return in, p, nil
	}
	return in, p, box.Reachable(in.User, "build", p.source, p.cache)
}

// linked is a path of this program that the build's user can enter: its own may
// lie where that user may not look.
func linked(place string) string {
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	link := filepath.Join(place, programFile)
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
func mount(in instructions, p places, place string) (instructions, places, error) {
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
		if err := os.MkdirAll(filepath.Join(place, dir), 0o700); err != nil {
			return in, places{}, fmt.Errorf("make the build's directories: %w", err)
		}
	}
	for _, name := range []string{"own/action.log", programFile} {
		file, err := os.OpenFile(filepath.Join(place, name), os.O_CREATE, 0o600)
		if err != nil {
			return in, places{}, fmt.Errorf("make the build's directories: %w", err)
		}
		_ = file.Close()
	}
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		return in, places{}, fmt.Errorf("%w: %w", box.ErrUnboxed, err)
	}
	kept := filepath.Join(place, keptTempDir)
	if err := errors.Join(os.MkdirAll(kept, 0o700), os.Chmod(kept, 0o777|fs.ModeSticky)); err != nil {
		return in, places{}, fmt.Errorf("make the build's directories: %w", err)
	}
	all := []box.Mount{
		{From: place, To: mountPoint},
		{From: p.source, To: seen.source},
		{From: p.inputs, To: seen.inputs, Optional: true},
		{From: p.cache, To: seen.cache},
		{From: in.Dir, To: moved.Dir},
		{From: in.Templates, To: moved.Templates},
		{From: in.LogFile, To: moved.LogFile},
		{From: "/proc/self/exe", To: seen.program},
		box.Processes(),
	}
	if in.Archives != "" {
		all = append(all, box.Mount{From: in.Archives, To: moved.Archives})
	}
	if err := introduce(in.User, filepath.Join(place, passwdFile)); err != nil {
		return in, places{}, err
	}
	// The build's own comes over the directories of the machine in which
	// everybody may write: what it leaves there is gone with it, and it finds
	// nothing of others. They come last, and from the box where it is seen, since
	// the build's directory may lie in one of them.
	all = append(
		all, box.SharedMemory(sharedMemory, sharedFiles), box.Mount{From: inBox(keptTempDir), To: "/var/tmp", Optional: true},
		box.Mount{From: inBox("tmp"), To: seen.temp}, box.Mount{From: inBox(passwdFile), To: "/etc/passwd", Optional: true},
	)
	return moved, seen, box.View(all...)
}

const (
	keptTempDir = "var-tmp" // the part of the box that the build sees as /var/tmp
	passwdFile  = "passwd"  // and the one that it sees as /etc/passwd
)

// introduce writes the list of users that a build sees, in which its own has a
// name: initdb and others refuse to run as a user without one. A machine without
// such a list needs none.
func introduce(uid int, file string) error {
	users, err := os.ReadFile("/etc/passwd")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("introduce the build's user: %w", err)
	}
	text := strings.TrimRight(string(users), "\n") + fmt.Sprintf("\nbuild:x:%d:%d:Towline build:%s:/bin/sh\n", uid, uid, inBox("home"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // as /etc/passwd is
		return fmt.Errorf("introduce the build's user: %w", err)
	}
	return nil
}

// leave undoes the mounts of enter, so that what was mounted can be removed: that
// of the box with all that lie below it, and those that may hide its directory.
func leave(in instructions, p places) error {
	if !in.Boxed {
		return nil
	}
	return box.Unmount(p.temp, "/var/tmp", mountPoint)
}
