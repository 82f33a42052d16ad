package attest

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// What looking through one archive may cost, with all the archives in it and in
// those: a few kilobytes can unpack to whatever their maker likes, and entries
// can name the same bytes again and again.
const (
	// deepest is how many archives may lie in each other: a jar in a war in an
	// ear are three.
	deepest = 4
	// mostUnpacked bounds the bytes that are unpacked, mostEntries the files
	// that are listed, and mostListed the bytes of the lists, which are held in
	// memory.
	mostUnpacked = 1 << 30
	mostEntries  = 200_000
	mostListed   = 32 << 20
)

// dig is one look through an archive and all that lies in it: what it may still
// cost, and what it has left out.
type dig struct {
	unpacked, listed int64 // bytes left
	entries          int   // left
	left             []string
	more             int // that were left out too
}

func newDig() *dig { return &dig{unpacked: mostUnpacked, listed: mostListed, entries: mostEntries} }

// list lists the files of an archive. The error is an unreadError, also when
// there are more of them than may be.
func (d *dig) list(at io.ReaderAt, size int64) ([]*zip.File, error) {
	rationed := &ration{at: at, left: d.listed}
	archive, err := zip.NewReader(rationed, size)
	d.listed = max(rationed.left, 0)
	switch {
	case errors.Is(err, errSpent):
		return nil, unread("the lists of files of all archives in each other have more than %d MiB", mostListed>>20)
	case err != nil:
		return nil, unread("it is no archive that can be read: %v", err)
	case len(archive.File) > d.entries:
		return nil, unread("all archives in each other have more than %d files", mostEntries)
	}
	d.entries -= len(archive.File)
	rationed.listed = true
	return archive.File, nil
}

// unpack gives the first bytes of an entry to a reader, the most that there may
// be. The entry has no more than it says to have: zip checks that.
func (d *dig) unpack(entry *zip.File, most uint64, read func(io.Reader) error) error {
	size := min(entry.UncompressedSize64, most)
	if size > uint64(d.unpacked) {
		return unread("all archives in each other unpack to more than %d MiB", mostUnpacked>>20)
	}
	d.unpacked -= int64(size)
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return read(io.LimitReader(r, int64(size)))
}

// mostNamed is how many things that were left out are named, and mostName how
// much of a name, which is whatever the archive's maker likes.
const (
	mostNamed = 3
	mostName  = 100
)

// skip notes why something in the archive is left out, nil when it is not. An
// error of this machine's files is nothing to leave out for, and returned.
func (d *dig) skip(name string, why error) error {
	if _, ours := errors.AsType[*fs.PathError](why); why == nil || ours {
		return why
	}
	if _, known := errors.AsType[*unreadError](why); !known {
		why = fmt.Errorf("it cannot be read: %w", why)
	}
	if len(d.left) == mostNamed {
		d.more++
		return nil
	}
	d.left = append(d.left, fmt.Sprintf("%.*q in it: %v", mostName, name, why))
	return nil
}

// leftOut is an unreadError that names what was left out, nil when nothing was.
func (d *dig) leftOut() error {
	switch {
	case d.more > 0:
		return unread("%s; and %d more", strings.Join(d.left, "; "), d.more)
	case len(d.left) > 0:
		return unread("%s", strings.Join(d.left, "; "))
	}
	return nil
}

// errSpent is the error of a reader that has given what it may.
var errSpent = errors.New("more was read than may be")

// ration reads only so many bytes until the archive is listed: the number of
// files that an archive says to have is not that of its list.
type ration struct {
	at     io.ReaderAt
	left   int64
	listed bool
}

var _ io.ReaderAt = (*ration)(nil)

func (r *ration) ReadAt(p []byte, off int64) (int, error) {
	if r.listed {
		return r.at.ReadAt(p, off)
	}
	if r.left <= 0 {
		return 0, errSpent
	}
	n, err := r.at.ReadAt(p, off)
	r.left -= int64(n)
	return n, err
}
