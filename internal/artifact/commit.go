package artifact

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// put stores what write produces and returns its digest and size. Until the
// last byte is on disk the store does not show it; what fails leaves nothing.
func (s *Store) put(ctx context.Context, write func(io.Writer) error) (digest string, size int64, err error) {
	f, err := os.CreateTemp(s.temp, "archive-*")
	if err != nil {
		return "", 0, s.explain(err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name()) // gone already when it was renamed
	}()
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<18)
	if err := write(buffered); err != nil {
		return "", 0, s.explain(err)
	}
	if err := buffered.Flush(); err != nil {
		return "", 0, s.explain(err)
	}
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if err := s.commit(ctx, f, digest); err != nil {
		return "", 0, s.explain(err)
	}
	return digest, info.Size(), nil
}

// commit gives a finished archive its name.
func (s *Store) commit(ctx context.Context, f *os.File, digest string) error {
	k, err := key(digest)
	if err != nil {
		return err
	}
	if s.dir == "" {
		return s.upload(ctx, f, k)
	}
	// The bytes first, then the name, then the directory that holds the name:
	// after a power cut the archive is whole or was never there. An archive of
	// the same digest is replaced by the same bytes, which also mends a damaged
	// one.
	if err := f.Sync(); err != nil {
		return err
	}
	final := filepath.Join(s.dir, filepath.FromSlash(k))
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), final); err != nil {
		return err
	}
	return syncDirs(s.dir, path.Dir(k))
}

// syncDirs makes the entries of root/rel and of each directory between durable.
func syncDirs(root, rel string) error {
	for ; ; rel = path.Dir(rel) {
		d, err := os.Open(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			return err
		}
		err = errors.Join(d.Sync(), d.Close())
		if err != nil || rel == "." {
			return err
		}
	}
}

// upload copies an archive into a bucket that is not a directory. A bucket
// shows an object only when its writer was closed without a cancelled context.
func (s *Store) upload(ctx context.Context, f *os.File, k string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch attrs, err := s.bucket.Attributes(ctx, k); {
	case err == nil && attrs.Size == info.Size():
		return nil
	case err != nil && gcerrors.Code(err) != gcerrors.NotFound:
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, k, &blob.WriterOptions{ContentType: "application/zip"})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, f); err != nil {
		cancel()
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// explain adds to a full disk where it is full and what mends it.
func (s *Store) explain(err error) error {
	if s.dir == "" {
		return explain(err, s.temp)
	}
	return explain(err, s.dir)
}

func explain(err error, place string) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return fmt.Errorf("no space left for artifacts in %s; free space on that disk, or start the server with a data directory on a larger one, and retry the stage (nothing half-written was kept): %w", place, err)
}
