package pod

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// noteEvery and noteBytes are how often it is noted how far the log has been
	// copied: after a crash, what has come since is found by comparing.
	noteEvery = time.Second
	noteBytes = 4 << 20
)

// followLog copies the log of the Pod to the action's, from where it was copied
// to last, until the build has ended: each line once, also when a server was
// killed on the way.
func (r *run) followLog(ctx context.Context, l *link) error {
	file, err := os.OpenFile(r.build.LogFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer file.Close()
	var from int64
	err = r.insist(ctx, func(ctx context.Context) error {
		from, err = r.copiedSoFar(ctx, l)
		return err
	})
	if err != nil {
		return err
	}
	noted, at := from, time.Now()
	for ended := false; !ended; {
		var part []byte
		err := r.insist(ctx, func(ctx context.Context) (err error) {
			part, ended, err = l.log(ctx, from)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := file.Write(part); err != nil {
			return fmt.Errorf("append to the log: %w", err)
		}
		from += int64(len(part))
		if ended || from-noted >= noteBytes || from > noted && time.Since(at) >= noteEvery {
			if err := r.note(from); err != nil {
				return err
			}
			noted, at = from, time.Now()
		}
	}
	return nil
}

// note keeps how far the log has been copied.
func (r *run) note(remote int64) error {
	next := r.record
	next.Log = copied{Remote: remote, Local: sizeOf(r.build.LogFile)}
	return r.files.save(&r.record, next)
}

// copiedSoFar is how many bytes of the Pod's log the action's log has. What was
// copied after the last note stands behind it, between lines that others have
// written.
func (r *run) copiedSoFar(ctx context.Context, l *link) (int64, error) {
	noted := r.record.Log
	here, err := tailOf(r.build.LogFile, noted.Local)
	if err != nil {
		return 0, final{err}
	}
	from := noted.Remote
	// No more can have been copied than stands here.
	for len(here) > 0 {
		part, _, err := l.log(ctx, from)
		if err != nil {
			return 0, err
		}
		found, rest := match(here, part)
		from += int64(found)
		if found < len(part) || found == 0 {
			break
		}
		here = rest
	}
	return from, nil
}

func tailOf(path string, from int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, from, max(0, info.Size()-from)))
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return text, nil
}

// match says how many bytes of there, a part of the Pod's log, stand in here,
// whose lines are those in their order with others between them, and what of
// here is behind them. The last line of here may be cut off in its middle, as
// by a crash. It is pure.
func match(here, there []byte) (found int, rest []byte) {
	for len(here) > 0 && found < len(there) {
		line, next := cutLine(here)
		wanted, _ := cutLine(there[found:])
		switch {
		case bytes.Equal(line, wanted):
			found += len(wanted)
		case line[len(line)-1] != '\n' && bytes.HasPrefix(wanted, line):
			return found + len(line), nil
		}
		here = next
	}
	return found, here
}

// cutLine is the first line, with its end.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexByte(text, '\n') + 1
	if i == 0 {
		i = len(text)
	}
	return text[:i], text[i:]
}
