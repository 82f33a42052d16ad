package function

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The files of an invocation, in its directory.
const (
	lockFile         = "runner.lock" // locked by the runner for as long as it lives
	instructionsFile = "in.json"     // holds credentials; the runner removes it
	startedFile      = "started"     // that there was a runner
	resultFile       = "result.json"
	wordsFile        = "runner.err" // what the runner says when it cannot run
	boxDir           = "box"        // what the function may write
)

// instructions are what a runner needs to know.
type instructions struct {
	Invocation Invocation `json:"invocation"`
	Code       string     `json:"code"`  // directory of the function's files
	Shims      string     `json:"shims"` // directory of the runtimes' shims
	Program    string     `json:"program"`
	User       int        `json:"user"` // user and group ID of the function, -1 for the runner's own
	Boxed      bool       `json:"boxed"`
	Endpoint   string     `json:"endpoint"`
	Region     string     `json:"region"`
	Account    string     `json:"account"`
	Environ    []string   `json:"environ"`
}

// result is how a runner ended.
type result struct {
	Outcome Outcome `json:"outcome"`
	// Fault says why the function could not be run, and is empty when it could.
	Fault string `json:"fault,omitempty"`
}

// takeLock takes the lock of a file; ok is false when another has it. The lock
// belongs to the open file, so that a child that inherits the file holds it on.
func takeLock(path string) (file *os.File, ok bool, err error) {
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", filepath.Base(path), err)
	}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == nil {
		return file, true, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("lock %s: %w", filepath.Base(path), err)
}

// lockHeld says whether somebody has the lock of a file, without taking it.
func lockHeld(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("look for the function's runner: %w", err)
	}
	defer file.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("look for the function's runner: %w", err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// readJSON reads a file of an invocation; ok is false when there is none.
func readJSON(root *os.Root, name string, into any) (ok bool, err error) {
	text, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s of the invocation: %w", name, err)
	}
	return true, nil
}

// writeJSON writes a file of an invocation, which is there whole or not at all.
func writeJSON(root *os.Root, name string, what any) error {
	text, err := json.Marshal(what)
	if err == nil {
		err = root.WriteFile(name+".new", text, 0o600)
	}
	if err == nil {
		err = root.Rename(name+".new", name)
	}
	if err != nil {
		return fmt.Errorf("write %s of the invocation: %w", name, err)
	}
	return nil
}

// lastWords is what a runner said before it ended without a result.
func lastWords(root *os.Root) string {
	text, err := root.ReadFile(wordsFile)
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + string(text[:min(len(text), 2000)])
}

// removeTree removes a tree, also one with directories that their owner has
// made read-only.
func removeTree(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	// By a root, so that a link which takes a directory's place is not followed.
	if root, err := os.OpenRoot(path); err == nil {
		_ = root.Chmod(".", 0o700)
		_ = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = root.Chmod(p, 0o700)
			}
			return nil
		})
		_ = root.Close()
	}
	return os.RemoveAll(path)
}
