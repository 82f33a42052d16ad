package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box/process"
)

// The exit codes of a runner. How its work ended is in a file; these are for
// the server that started it.
const (
	exitDone    = 0
	exitBroken  = 1  // no result could be written
	exitUnboxed = 75 // namespaces are forbidden here: nothing was begun
)

// FirstFD is where a runner finds the first of the files that it was started
// with, its lock.
const FirstFD = 3

// Main is the runner's: it runs what there is to run and returns the exit code,
// for a process that does nothing else and was started with so many files. Its
// context ends when it is told to stop.
func Main(ctx context.Context, files int, run func(ctx context.Context, me Runner) error) int {
	for fd := FirstFD; fd < FirstFD+files; fd++ {
		unix.CloseOnExec(fd)
	}
	// Caught and not ignored: what it starts would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT)
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	// Asked before /proc shows the process IDs of a namespace.
	p, ok := process.Read("self")
	err := errors.New("read /proc/self/stat: a runner needs /proc")
	if ok {
		err = run(ctx, Runner{PID: p.PID, Start: p.Start})
	}
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, ErrUnboxed) {
		return exitUnboxed
	}
	return exitBroken
}

// waitGone waits until a runner has ended wholly: the kernel lets go of its
// lock a moment before it has ended the other processes of its namespace.
func (r Runner) waitGone() {
	for deadline := time.Now().Add(process.KillWithin); r.alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// WaitGone waits until the last runner of a directory has ended wholly.
func WaitGone(dir string) error {
	last, err := ReadRunner(dir)
	last.waitGone()
	return err
}

// alive says whether the runner lives, and not another process that has come
// to its process ID.
func (r Runner) alive() bool {
	p, ok := process.Read(strconv.Itoa(r.PID))
	return ok && p.Start == r.Start && !p.Dead()
}

// Pin returns a path of a directory that stays good when something is mounted
// over the one that leads there, for as long as the file is open.
func Pin(dir string) (pinned string, file *os.File, err error) {
	if file, err = os.Open(dir); err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(file.Fd())), file, nil
}
