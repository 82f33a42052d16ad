package function

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// mountPoint is where a boxed function finds its files. Only the processes of
// the function see something there.
const mountPoint = "/run/towline/function"

// errUnboxed says that this system forbids what a box needs.
var errUnboxed = errors.New("namespaces are not allowed here")

// places are the directories of a function as it sees them.
type places struct{ code, shims, temp string }

// enter makes what the function may write and, in a box, shows it to this
// process and its children.
func enter(in instructions) (places, error) {
	box := filepath.Join(in.Invocation.Dir, boxDir)
	p := places{code: in.Code, shims: in.Shims, temp: filepath.Join(box, "tmp")}
	if err := os.MkdirAll(p.temp, 0o700); err != nil {
		return p, fmt.Errorf("make the function's directories: %w", err)
	}
	for dir, mode := range map[string]os.FileMode{box: 0o711, p.temp: 0o700} {
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
		return mount(in, box)
	}
	if in.User < 0 {
		return p, nil
	}
	// Without a box the function's user passes through the invocation's
	// directory, which is otherwise closed to all but the server.
	if err := os.Chmod(in.Invocation.Dir, 0o711); err != nil {
		return p, fmt.Errorf("let the function's user pass: %w", err)
	}
	return p, reachable(in.User, p)
}

// mount makes the function's view of the file system: its own files at a place
// that is the same for all, a /tmp of its own, in the place of /var/tmp as well, and
// the processes that are its own. What is mounted here is gone when this process is.
func mount(in instructions, box string) (places, error) {
	seen := places{code: filepath.Join(mountPoint, "task"), shims: filepath.Join(mountPoint, "shims"), temp: "/tmp"}
	for _, dir := range []string{"task", "shims"} {
		if err := os.MkdirAll(filepath.Join(box, dir), 0o755); err != nil {
			return places{}, fmt.Errorf("make the function's directories: %w", err)
		}
	}
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		return places{}, fmt.Errorf("%w: %w", errUnboxed, err)
	}
	for _, m := range []struct {
		from, to, kind string
		flags          uintptr
	}{
		// What is mounted here stays here; what the machine unmounts later is
		// not kept busy.
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE},
		{box, mountPoint, "", unix.MS_BIND},
		{in.Code, seen.code, "", unix.MS_BIND},
		{"", seen.code, "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV},
		{in.Shims, seen.shims, "", unix.MS_BIND},
		{"", seen.shims, "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{filepath.Join(box, "tmp"), seen.temp, "", unix.MS_BIND},
	} {
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, ""); err != nil {
			return places{}, fmt.Errorf("%w: mount %s: %w", errUnboxed, m.to, err)
		}
	}
	return seen, hideShared(seen.temp)
}

// hideShared puts what goes with the box in the place of the machine's other
// directories that every user writes to: the next function of the same user
// would find there what this one has left. Those of files become temp, so that
// what they hold is counted with it.
func hideShared(temp string) error {
	for _, m := range []struct {
		from, to, kind, data string
		flags                uintptr
	}{
		{temp, "/var/tmp", "", "", unix.MS_BIND},
		{temp, "/run/lock", "", "", unix.MS_BIND},
		{"tmpfs", "/dev/shm", "tmpfs", fmt.Sprintf("mode=1777,size=%d,nr_inodes=%d", mostShared, mostSharedFiles), unix.MS_NOSUID | unix.MS_NODEV},
	} {
		// Not every machine has all of them; a function cannot make one.
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, m.data); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("%w: mount %s: %w", errUnboxed, m.to, err)
		}
	}
	return nil
}

// reachable checks that a user may enter the directories of its function:
// without a box it goes to them through all that lie above.
func reachable(uid int, p places) error {
	for _, dir := range []string{p.code, p.temp, p.shims} {
		for dir = filepath.Dir(dir); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return fmt.Errorf("look at the way to the function's files: %w", err)
			}
			if info.Mode().Perm()&0o001 == 0 {
				return fmt.Errorf("the function's user %d cannot enter %s; run chmod o+x %s, or give Towline a data directory elsewhere", uid, dir, dir)
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}

// The limits of a function beside its memory and its time.
const (
	mostProcesses = 1024 // as Lambda's
	mostFiles     = 4096 // that one process may have open
	mostTemp      = 512 << 20
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
	if in.User >= 0 && in.Boxed {
		limits[unix.RLIMIT_NPROC] = mostProcesses // of a user that nobody else is
	}
	for resource, most := range limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("limit the function: %w", err)
		}
		most = min(most, now.Max)
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit the function: %w", err)
		}
	}
	return nil
}

// keepRights sees to it that no program which the function starts gets more
// rights than its user has. It is asked of all threads, since each may start
// one. A binary with cgo cannot do that; Towline is built without.
func keepRights() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 && errno != unix.ENOTSUP {
		return fmt.Errorf("keep the function from getting more rights: %w", errno)
	}
	return nil
}
