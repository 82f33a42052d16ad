package localkube

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// nsfsMagic is what statfs says of a file that a namespace is mounted on.
const nsfsMagic = 0x6e736673

// ensureNetNS makes sure that a network namespace is mounted on the file. The
// namespace lives until it is unmounted and its last process has ended.
func ensureNetNS(path string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err == nil && stat.Type == nsfsMagic {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return inFreshNetNS(func() error {
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(self, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount a network namespace on %s: %w", path, err)
		}
		return nil
	})
}

// inFreshNetNS runs the function on a thread in a new network namespace,
// which ends with it unless the function keeps it.
func inFreshNetNS(run func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		return run()
	})
}

// inNetNS runs the function on a thread that has entered the namespace;
// processes started there belong to it. Only the network changes: the mounts,
// above all /sys, stay the machine's, which cgroups need. An empty path means
// the machine's own network.
func inNetNS(path string, run func() error) error {
	if path == "" {
		return run()
	}
	return onThread(func() error {
		target, err := netns.GetFromPath(path)
		if err != nil {
			return fmt.Errorf("open the network namespace %s: %w", path, err)
		}
		defer target.Close()
		if err := netns.Set(target); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", path, err)
		}
		return run()
	})
}

// onThread runs the function on a thread of its own and brings the thread back
// to the network namespace that it came from. A thread that cannot be brought
// back is never used again.
func onThread(run func() error) error {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the thread's network namespace: %w", err)
	}
	defer origin.Close()
	err = run()
	if back := netns.Set(origin); back != nil {
		return errors.Join(err, fmt.Errorf("leave the network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// sysctl sets a kernel parameter of the calling thread's network namespace.
func sysctl(name, value string) error {
	path := filepath.Join("/proc/sys", name)
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return &Error{Message: path + " cannot be written", Hint: "a container must be privileged to run a local cluster", Err: err}
		}
		return err
	}
	return nil
}
