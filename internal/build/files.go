package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadRecord reads what WriteRecord has written into a build's directory; ok is
// false when there is nothing.
func ReadRecord(dir, name string, into any) (ok bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s of the build: %w", name, err)
	}
	return true, nil
}

// WriteRecord writes a file that is there whole or not at all, also after a
// crash of the machine. Only its owner may read it.
func WriteRecord(dir, name string, what any) error {
	text, err := json.Marshal(what)
	if err == nil {
		err = write(filepath.Join(dir, name), text)
	}
	if err != nil {
		return fmt.Errorf("write %s of the build: %w", name, err)
	}
	return nil
}

func write(path string, text []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
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
