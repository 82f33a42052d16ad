//go:build linux

package phases

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/report"
)

const (
	// pipeSize is the most that an ordinary user may give a pipe: a build that
	// prints much is seldom held up then.
	pipeSize = 1 << 20
	// drainAtOnce bounds what a caught-up reader takes in one go.
	drainAtOnce = 256 << 10
)

// Output carries what the commands print from one pipe into the log. There is
// one pipe for all commands, both streams and the whole build, so that lines
// stand in the log in the order in which they were printed.
type Output struct {
	log   *report.Log
	read  *os.File
	write *os.File // what the shells get
	conn  syscall.RawConn
	ended chan struct{}

	label string // begins each line

	mu  sync.Mutex // held while bytes go from the pipe to the log
	buf []byte
	err error // the log's first
}

// NewOutput opens the pipe; what comes through it is written to log.
func NewOutput(log *report.Log) (*Output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for the output: %w", err)
	}
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize)
	conn, err := r.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for the output: %w", err)
	}
	o := &Output{log: log, read: r, write: w, conn: conn, ended: make(chan struct{}), buf: make([]byte, drainAtOnce)}
	go func() {
		defer close(o.ended)
		_ = conn.Read(func(fd uintptr) bool { return o.drain(int(fd), -1) })
	}()
	return o, nil
}

// drain moves what the pipe holds into the log, at most so many times a buffer
// when most is not negative. It reports whether the pipe has come to its end.
func (o *Output) drain(fd, most int) (end bool) {
	for ; most != 0; most-- {
		if end, empty := o.move(fd); end || empty {
			return end
		}
	}
	return false
}

func (o *Output) move(fd int) (end, empty bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := unix.Read(fd, o.buf)
	switch {
	case errors.Is(err, unix.EINTR):
		return false, false
	case errors.Is(err, unix.EAGAIN):
		return false, true
	case err != nil || n <= 0:
		return true, true
	}
	// A log that takes nothing more must not stop the build from printing: it
	// would hang instead of ending with the log's error.
	if _, err := o.log.Write(o.buf[:n]); err != nil && o.err == nil {
		o.err = err
	}
	return false, false
}

// Label begins each line from here on with the label, in brackets: see
// build.Build. It is called before anything is printed.
func (o *Output) Label(label string) {
	if o.label = ""; label != "" {
		o.label = "[" + label + "] "
	}
	o.log.Label(o.label)
}

// hide keeps a secret out of the log.
func (o *Output) hide(secret string) { o.log.Hide(secret) }

// sync returns when all that was printed before the call is in the log, so that
// the next line of the runner comes behind it.
func (o *Output) sync() {
	const most = 64 // a process in the background may print without end
	_ = o.conn.Control(func(fd uintptr) { o.drain(int(fd), most) })
	_ = o.log.EndLine()
}

// Printf writes a line of the runner's own.
func (o *Output) Printf(format string, args ...any) {
	o.sync()
	_ = o.log.Printf(format, args...)
}

// Close ends the output once all processes that print have ended, and returns
// the log's error.
func (o *Output) Close() error {
	_ = o.write.Close()
	select {
	case <-o.ended:
	case <-time.After(time.Second):
		// Somebody who is no part of the build any more holds the pipe.
	}
	o.sync()
	_ = o.read.Close()
	<-o.ended
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
