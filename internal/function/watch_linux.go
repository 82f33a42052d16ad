package function

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	watchMemoryEvery = 50 * time.Millisecond
	watchDiskEvery   = time.Second
	mostTempFiles    = 100_000
)

// watcher looks at what a function uses, and ends it when that is too much.
type watcher struct {
	group      int   // process group of the function, 0 for all processes but this one
	most       int64 // bytes of memory
	temp       string
	used       atomic.Int64 // the most so far
	exceeded   chan *Error  // takes one
	diskLooked time.Time
}

func newWatcher(group, megabytes int, temp string) *watcher {
	return &watcher{group: group, most: int64(megabytes) << 20, temp: temp, exceeded: make(chan *Error, 1)}
}

// watch looks until ctx ends or too much is used.
func (w *watcher) watch(ctx context.Context) {
	tick := time.NewTicker(watchMemoryEvery)
	defer tick.Stop()
	for {
		now := w.memory()
		w.used.Store(max(w.used.Load(), now))
		if now > w.most {
			w.exceeded <- &Error{Type: ErrorMemory, Message: "the function used more than its memory of " + strconv.FormatInt(w.most>>20, 10) + " MB: give it more with --memory"}
			return
		}
		if time.Since(w.diskLooked) > watchDiskEvery {
			w.diskLooked = time.Now()
			if diskFull(w.temp) {
				w.exceeded <- &Error{Type: ErrorDisk, Message: "the function wrote more than " + strconv.Itoa(mostTemp>>20) + " MB to /tmp"}
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memory is what the function's processes have for themselves in memory.
func (w *watcher) memory() (sum int64) {
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return 0
	}
	me := strconv.Itoa(os.Getpid())
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' || name == me || w.group != 0 && groupOf(name) != w.group {
			continue
		}
		if text, err := os.ReadFile("/proc/" + name + "/status"); err == nil {
			sum += ownMemory(text)
		}
	}
	return sum
}

// ownMemory is what a process has in memory, by its status, but for the files
// that it has mapped: those the system can read again. What several processes
// share, also a file in /dev/shm, counts for each that has touched it.
func ownMemory(status []byte) (sum int64) {
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if string(name) != "RssAnon" && string(name) != "RssShmem" {
			continue
		}
		if fields := bytes.Fields(value); len(fields) > 0 {
			kilobytes, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			sum += kilobytes << 10
		}
	}
	return sum
}

// groupOf is the process group of a process.
func groupOf(pid string) int {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything; the fields begin behind it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 3 {
		return 0
	}
	group, _ := strconv.Atoi(string(fields[2]))
	return group
}

var errFull = errors.New("full")

// diskFull tells whether a directory has more in it than there may be.
func diskFull(dir string) bool {
	var size int64
	files := 0
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // It was removed meanwhile.
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		if files++; size > mostTemp || files > mostTempFiles {
			return errFull
		}
		return nil
	})
	return errors.Is(err, errFull)
}
