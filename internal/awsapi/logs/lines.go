package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/towline/towline/internal/report"
)

// line is one line of a log.
type line struct {
	at          time.Time
	text        string
	begin, next int64 // where it and the one behind it begin, in bytes
}

// errEnough ends the reading of a log before its end.
var errEnough = errors.New("enough was read")

// each calls take with the lines from an offset on, until it returns errEnough.
// A log that is not there has no lines; of one that is still written the last
// line may only have begun, and is left out then.
func (l Stream) each(ctx context.Context, offset int64, take func(line) error) error {
	at, begin := l.Started, offset
	var last *line // which is whole when another one follows
	err := report.Follow(ctx, l.File, offset, func() bool { return true }, func(read report.Line) error {
		if !read.Time.IsZero() {
			at = read.Time
		}
		before := last
		last = &line{at: at, text: read.Text, begin: begin, next: read.Offset}
		begin = read.Offset
		if before == nil {
			return nil
		}
		return take(*before)
	})
	if err == nil && last != nil && (!l.Ended.IsZero() || whole(l.File, last.next)) {
		err = take(*last)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// whole tells whether a line ends with a newline in front of next.
func whole(path string, next int64) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	last := make([]byte, 1)
	_, err = file.ReadAt(last, next-1)
	return err == nil && last[0] == '\n'
}

// size is how long a log is by now, in bytes.
func (l Stream) size() (int64, error) {
	info, err := os.Stat(l.File)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	return info.Size(), nil
}

// beginning is where the first line begins at or behind an offset.
func (l Stream) beginning(offset int64) (int64, error) {
	if offset <= 0 {
		return 0, nil
	}
	file, err := os.Open(l.File)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	defer file.Close()
	buf := make([]byte, 64<<10)
	for at := offset - 1; ; {
		n, err := file.ReadAt(buf, at)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read log: %w", err)
		}
	}
}

// seek is where the lines begin that are not older than an instant. Lines are
// in the order of their times.
func (l Stream) seek(ctx context.Context, since time.Time) (int64, error) {
	if !since.After(l.Started) {
		return 0, nil
	}
	size, err := l.size()
	if err != nil {
		return 0, err
	}
	low, high := int64(0), size
	for high-low > 64<<10 {
		middle, err := l.beginning(low + (high-low)/2)
		if err != nil {
			return 0, err
		}
		if middle >= high {
			break // one line is as long as all that is left
		}
		older := false
		err = l.each(ctx, middle, func(first line) error {
			older = first.at.Before(since)
			return errEnough
		})
		if err != nil {
			return 0, err
		}
		if older {
			low = middle
		} else {
			high = middle
		}
	}
	found := size
	err = l.each(ctx, low, func(one line) error {
		if one.at.Before(since) {
			return nil
		}
		found = one.begin
		return errEnough
	})
	return found, err
}
