package box

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Mount is a part of what a box sees in the place of the machine's.
type Mount struct {
	From, To string
	// Kind is that of a new file system; "" shows From, a file or a directory.
	Kind string
	// Data are the settings of a new file system.
	Data string
	// ReadOnly lets nothing be written, no device be opened and no program get
	// more rights by its file.
	ReadOnly bool
	// Optional leaves out what is not on this machine.
	Optional bool
}

// View makes the view that this process and its children have of the file
// system: the mounts, in their order, and their own processes in /proc. What is
// mounted here is gone when they are. An error wraps ErrUnboxed.
func View(mounts ...Mount) error {
	// What is mounted here stays here; what the machine unmounts later is not
	// kept busy.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("%w: mount /: %w", ErrUnboxed, err)
	}
	for _, m := range mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	return nil
}

// Processes are the mount of /proc.
func Processes() Mount { return Mount{From: "proc", To: "/proc", Kind: "proc"} }

// SharedMemory is a /dev/shm of so many bytes. It takes the machine's memory.
func SharedMemory(size int64, files int) Mount {
	return Mount{From: "tmpfs", To: "/dev/shm", Kind: "tmpfs", Data: fmt.Sprintf("mode=1777,size=%d,nr_inodes=%d", size, files), Optional: true}
}

func (m Mount) mount() error {
	flags := uintptr(unix.MS_BIND)
	switch m.Kind {
	case "":
	case "proc":
		flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	default:
		flags = unix.MS_NOSUID | unix.MS_NODEV
	}
	err := unix.Mount(m.From, m.To, m.Kind, flags, m.Data)
	if m.Optional && errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && m.ReadOnly {
		err = unix.Mount("", m.To, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
	}
	if err != nil {
		return fmt.Errorf("%w: mount %s: %w", ErrUnboxed, m.To, err)
	}
	return nil
}

// Unmount undoes mounts, with all that lie below them, so that what was mounted
// can be removed. Each waits for all processors. What is not
// mounted or not there is not an error.
func Unmount(places ...string) error {
	var errs []error
	for _, at := range places {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}
