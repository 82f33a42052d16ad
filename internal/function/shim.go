package function

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// shims are the programs that stand between the Runtime API and a handler: of
// Python and Node.js as they are, of Java compiled, so that a machine without a
// compiler runs it.
//
//go:generate ./shim/compile
//go:embed shim/shim.py shim/shim.mjs shim/shim.jar
var shims embed.FS

// writeShims puts the shims into a directory, where every user may read them.
func writeShims(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the runtimes' shims: %w", err)
	}
	files, err := fs.ReadDir(shims, "shim")
	if err != nil {
		return fmt.Errorf("write the runtimes' shims: %w", err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(shims, "shim/"+file.Name())
		if err == nil {
			err = replaceFile(filepath.Join(dir, file.Name()), text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the runtimes' shims: %w", err)
		}
	}
	return nil
}

// replaceFile writes a file that is there whole or not at all.
func replaceFile(path string, text []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone when all went well
	_, err = file.Write(text)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
