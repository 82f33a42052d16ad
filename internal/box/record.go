package box

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a runner, in its directory. What it runs cannot reach them where
// that has a user of its own.
const (
	lockFile   = "runner.lock" // locked by the runner for as long as it lives
	runnerFile = "runner.json" // who the runner is
	wordsFile  = "runner.err"  // what the runner says when it cannot run
)

// ReadRecord reads what WriteRecord or PassRecord has written into a directory; ok
// is false when there is nothing, as also where a crash has left an empty file.
func ReadRecord(dir, name string, into any) (ok bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}

// WriteRecord writes a file that is there whole or not at all, and stays after a
// crash of the machine. Only its owner may read it.
func WriteRecord(dir, name string, what any) error {
	return write(filepath.Join(dir, name), what, (*os.File).Sync)
}

// PassRecord writes a file as WriteRecord does, for who reads it soon: a crash of
// the machine may take it away, for which it need not wait for the disk.
func PassRecord(dir, name string, what any) error {
	return write(filepath.Join(dir, name), what, func(*os.File) error { return nil })
}

func write(path string, what any, sync func(*os.File) error) error {
	text, err := json.Marshal(what)
	if err == nil {
		err = replace(path, text, sync)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

func replace(path string, text []byte, sync func(*os.File) error) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = sync(file)
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadRunner is the last runner of a directory, with Run 0 when there was none.
func ReadRunner(dir string) (Runner, error) {
	var r Runner
	_, err := ReadRecord(dir, runnerFile, &r)
	return r, err
}

// Begin makes a runner known, before it begins with anything that must not be
// done twice.
func (r Runner) Begin(dir string) error { return WriteRecord(dir, runnerFile, r) }

// LastWords is what a runner said before it ended without a result, for the
// end of an error.
func LastWords(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, wordsFile))
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + string(text[:min(len(text), 2000)])
}

// RemoveAll removes a tree, also one with directories that their owner has made
// read-only.
func RemoveAll(path string) error {
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
