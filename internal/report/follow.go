package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	// pollEvery is how often a followed file is looked at for growth. Polling
	// works on every file system, and a look costs one system call.
	pollEvery = 50 * time.Millisecond
	// longestRead bounds the memory for one line of a file that Log did not
	// write; what is longer comes in pieces.
	longestRead = 1 << 20
)

// Follow emits the lines of the log file at path from offset on, then waits for
// more, until ended says that nobody writes any more and everything is read. A
// file that does not exist yet is waited for. It ends early with the error of
// ctx or of emit, which is called from this goroutine only. Reading starts at a
// line's beginning when offset is 0 or some Line's Offset.
func Follow(ctx context.Context, path string, offset int64, ended func() bool, emit func(Line) error) error {
	f := follower{offset: offset, emit: emit}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var file *os.File
	defer func() { _ = file.Close() }() // closing a nil file does nothing
	for {
		// Asked before reading: what is written before the end is read after.
		last := ended()
		if file == nil {
			opened, err := os.Open(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("follow log: %w", err)
			}
			file = opened
		}
		if file != nil {
			if err := f.read(ctx, file); err != nil {
				return err
			}
		}
		if last {
			return f.end()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

type follower struct {
	offset  int64  // of the first byte that is not in a Line yet
	pending []byte // read from offset on, no newline in it
	emit    func(Line) error
}

// read emits all whole lines that the file holds by now.
func (f *follower) read(ctx context.Context, file *os.File) error {
	buf := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := file.ReadAt(buf, f.offset+int64(len(f.pending)))
		f.pending = append(f.pending, buf[:n]...)
		if err := f.lines(); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow log: %w", err)
		}
	}
}

func (f *follower) lines() error {
	text := f.pending
	for {
		i := bytes.IndexByte(text, '\n')
		skip := i + 1
		if i < 0 && len(text) >= longestRead {
			i, skip = longestRead, longestRead
		}
		if i < 0 {
			break
		}
		f.offset += int64(skip)
		if err := f.emit(parseLine(text[:i], f.offset)); err != nil {
			return err
		}
		text = text[skip:]
	}
	f.pending = append(f.pending[:0], text...)
	return nil
}

// end emits what is left of a line whose writer died before its newline.
func (f *follower) end() error {
	if len(f.pending) == 0 {
		return nil
	}
	f.offset += int64(len(f.pending))
	return f.emit(parseLine(f.pending, f.offset))
}
