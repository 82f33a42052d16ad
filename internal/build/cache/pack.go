package cache

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// pack writes an archive: a compressed tar, with names that begin with that of
// the place. Links that lead out of their place are left out.
func (k *Keeper) pack(ctx context.Context, w io.Writer, files []kept) error {
	// Archives are written and read again on one machine, or near it: the
	// processor's time is worth more than the space.
	zipped, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	p := packing{keeper: k, archive: tar.NewWriter(zipped), buffer: make([]byte, 256<<10), left: k.Limits.Bytes}
	defer p.close()
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.add(f); err != nil {
			return fmt.Errorf("add %s: %w", f.name, err)
		}
	}
	return errors.Join(p.archive.Close(), zipped.Close())
}

type packing struct {
	keeper  *Keeper
	archive *tar.Writer
	buffer  []byte
	left    int64 // bytes

	place *Place // of root
	root  *os.Root
}

func (p *packing) close() {
	if p.root != nil {
		_ = p.root.Close()
	}
}

func (p *packing) add(f kept) error {
	if p.place != f.place {
		p.close()
		p.root, p.place = nil, f.place
		root, err := os.OpenRoot(f.place.Dir)
		if err != nil {
			return err
		}
		p.root = root
	}
	header := &tar.Header{Name: path.Join(f.place.Name, f.name), Mode: int64(f.info.Mode().Perm()), ModTime: f.info.ModTime(), Format: tar.FormatPAX}
	switch {
	case f.info.IsDir():
		header.Typeflag = tar.TypeDir
		return p.archive.WriteHeader(header)
	case f.info.Mode()&fs.ModeSymlink != 0:
		return p.link(header, f.name)
	}
	return p.file(header, f.name)
}

func (p *packing) link(header *tar.Header, name string) error {
	to, err := p.root.Readlink(name)
	if err != nil {
		return err
	}
	if !within(p.root, name, to) {
		p.keeper.Printf("warning: cache: %s is left out: the link leads to %s, outside of what is kept", name, to)
		return nil
	}
	header.Typeflag, header.Linkname = tar.TypeSymlink, to
	return p.archive.WriteHeader(header)
}

// within tells whether a link stays in its place. Both the text and the file
// system are asked: the text alone does not see a link that goes through another
// one, the file system alone does not judge one that leads nowhere.
func within(root *os.Root, name, to string) bool {
	if path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(name), to)) {
		return false
	}
	_, err := root.Stat(name)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

func (p *packing) file(header *tar.Header, name string) error {
	// Without O_NONBLOCK a file that became a named pipe since it was listed
	// would hold this up.
	f, err := p.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file any more")
	}
	if p.left -= info.Size(); p.left < 0 {
		return fmt.Errorf("the files are larger than %d MB; name fewer under cache.paths", p.keeper.Limits.Bytes>>20)
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := p.archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{p.archive}, io.LimitReader(f, header.Size), p.buffer)
	if err == nil && n < header.Size {
		return errors.New("it became shorter while it was read")
	}
	return err
}
