package local

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Owner is a word that tells this cache's builds from those of other people and
// machines in a cluster that all of them use. It is made once and kept.
func Owner(cache string) (string, error) {
	path := filepath.Join(cache, "owner")
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			return string(text), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read who owns the builds: %w", err)
		}
		if err := newOwner(cache, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("keep who owns the builds: %w", err)
		}
	}
}

// newOwner writes the word whole, and not over that of another process.
func newOwner(cache, path string) error {
	if err := os.MkdirAll(cache, 0o711); err != nil {
		return err
	}
	file, err := os.CreateTemp(cache, "owner-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // its name; it has another one then
	_, err = file.WriteString("local-" + strings.ToLower(rand.Text()))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path)
}
