package artifact

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular is the error of what is no file with bytes of its own.
var ErrNotRegular = errors.New("it is not a regular file")

// OpenRegular opens a file to read it that somebody else may have changed since
// it was listed, to a pipe or a device for one: to open these could wait for
// ever, or more. A link is followed as far as root reaches.
func OpenRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
