package build

import "github.com/towline/towline/internal/box"

// ReadRecord reads what WriteRecord has written into a build's directory; ok is
// false when there is nothing.
func ReadRecord(dir, name string, into any) (ok bool, err error) {
	return box.ReadRecord(dir, name, into)
}

// WriteRecord writes a file that is there whole or not at all, also after a
// crash of the machine. Only its owner may read it.
func WriteRecord(dir, name string, what any) error { return box.WriteRecord(dir, name, what) }

// RemoveAll removes a tree, also one with directories that their owner has made
// read-only.
func RemoveAll(path string) error { return box.RemoveAll(path) }
