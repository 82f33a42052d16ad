// Package enclosure runs a program of root's in namespaces of its own, as their
// first process: what it starts, mounts and leaves lying ends with it, and it
// ends with the program that started it, however that ends. Its noun is the
// Enclosure, one run. It hides nothing from the program: it is not there to
// confine, but to leave nothing behind.
package enclosure

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Enclosure is a program that runs.
type Enclosure struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a program. The command's path and first arguments are those of a
// process that calls Main with the rest.
func Start(cmd *exec.Cmd) (*Enclosure, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
	}
	e := &Enclosure{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go e.run(started)
	return e, <-started
}

// run starts the process and waits for its end. The thread that starts it must
// live as long: the kernel takes the end of that for the end of the parent.
func (e *Enclosure) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.done)
	err := e.cmd.Start()
	started <- err
	if err == nil {
		_ = e.cmd.Wait() // State says more than the error.
	}
}

// Done is closed when it has ended.
func (e *Enclosure) Done() <-chan struct{} { return e.done }

// State says how it ended, once it has.
func (e *Enclosure) State() *os.ProcessState { return e.cmd.ProcessState }

// Stop asks the program to end, ends it after the grace with all that it
// started, and returns when it has ended.
func (e *Enclosure) Stop(grace time.Duration) {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-e.done:
		return
	case <-timer.C:
	}
	_ = e.cmd.Process.Kill()
	<-e.done
}

// Main is the body of the process that Start starts, and then becomes the
// program whose path and arguments are given. It returns only when it cannot.
func Main(command []string) error {
	if len(command) == 0 || os.Getpid() != 1 {
		return errors.New("this is for Towline itself to call")
	}
	// What is mounted from here on is seen by nobody else and goes with the last
	// process; what others unmount is not kept from going.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("take a view of the file system: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Where runc and buildkitd keep what must not outlive them.
	for _, dir := range []string{"/run/runc", "/run/buildkit"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	return fmt.Errorf("run %s: %w", command[0], unix.Exec(command[0], command, os.Environ()))
}
