package function

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/box/process"
)

// mountPoint is where a boxed function finds its files. Only the processes of
// the function see something there.
const mountPoint = "/run/towline/function"

// places are the directories of a function as it sees them.
type places struct{ code, shims, temp string }

// enter makes what the function may write and, in a box, shows it to this
// process and its children.
func enter(in instructions) (places, error) {
	place := filepath.Join(in.Invocation.Dir, boxDir)
	p := places{code: in.Code, shims: in.Shims, temp: filepath.Join(place, "tmp")}
	if err := os.MkdirAll(p.temp, 0o700); err != nil {
		return p, fmt.Errorf("make the function's directories: %w", err)
	}
	for dir, mode := range map[string]os.FileMode{place: 0o711, p.temp: 0o700} {
		if err := os.Chmod(dir, mode); err != nil {
			return p, fmt.Errorf("make the function's directories: %w", err)
		}
	}
	if in.User >= 0 {
		if err := os.Chown(p.temp, in.User, in.User); err != nil {
			return p, fmt.Errorf("make the function's directories: %w", err)
		}
	}
	if in.Boxed {
		return mount(in, place)
	}
	if err := process.Adopt(); err != nil {
		return p, err
	}
	if in.User < 0 {
		return p, nil
	}
	// Without a box the function's user passes through the invocation's
	// directory, which is otherwise closed to all but the server.
	if err := os.Chmod(in.Invocation.Dir, 0o711); err != nil {
		return p, fmt.Errorf("let the function's user pass: %w", err)
	}
	return p, box.Reachable(in.User, "function", p.code, p.temp, p.shims)
}

// mount makes the function's view of the file system: its own files at a place
// that is the same for all, a /tmp of its own, and the processes that are its
// own. Its own also takes the place of the machine's other directories that
// every user writes to: the next function of the same user would find there what
// this one has left. Those of files become its /tmp, so that what they hold is
// counted with it.
func mount(in instructions, place string) (places, error) {
	seen := places{code: filepath.Join(mountPoint, "task"), shims: filepath.Join(mountPoint, "shims"), temp: "/tmp"}
	for _, dir := range []string{"task", "shims"} {
		if err := os.MkdirAll(filepath.Join(place, dir), 0o755); err != nil {
			return places{}, fmt.Errorf("make the function's directories: %w", err)
		}
	}
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		return places{}, fmt.Errorf("%w: %w", box.ErrUnboxed, err)
	}
	return seen, box.View(
		box.Mount{From: place, To: mountPoint},
		box.Mount{From: in.Code, To: seen.code, ReadOnly: true},
		box.Mount{From: in.Shims, To: seen.shims, ReadOnly: true},
		box.Processes(),
		box.Mount{From: filepath.Join(place, "tmp"), To: seen.temp},
		box.Mount{From: seen.temp, To: "/var/tmp", Optional: true},
		box.Mount{From: seen.temp, To: "/run/lock", Optional: true},
		box.SharedMemory(mostShared, mostSharedFiles),
	)
}

// The limits of a function beside its memory and its time.
const (
	mostFiles = 4096 // that one process may have open
	mostTemp  = 512 << 20
	// What lies in /dev/shm, in bytes and files. It is memory that nobody need
	// have mapped, so it is not watched but bounded.
	mostShared      = 64 << 20
	mostSharedFiles = 4096
	// beyondMemory is what a process may ask for beyond what the function may
	// use: runtimes map more than they touch. What is used is watched.
	beyondMemory = 1 << 30
)

// limit bounds this process and what it starts.
func limit(in instructions) error {
	data := uint64(in.Invocation.Function.Memory)<<21 + beyondMemory
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: mostFiles, unix.RLIMIT_FSIZE: mostTemp, unix.RLIMIT_DATA: data}
	switch {
	case in.User >= 0 && in.Boxed:
		limits[unix.RLIMIT_NPROC] = uint64(in.Processes) // of a user that nobody else is
	case in.User >= 0:
		limits[unix.RLIMIT_NPROC] = uint64(process.Room(in.User, in.Processes))
	}
	return process.Bound(limits)
}
