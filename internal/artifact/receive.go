package artifact

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
)

// Receive stores the bytes of r as they are and returns their digest and how
// many they are. Nothing is stored when r ends with an error, which is wrapped.
func (s *Store) Receive(ctx context.Context, r io.Reader) (digest string, size int64, err error) {
	digest, size, err = s.put(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
	if err != nil {
		return "", 0, fmt.Errorf("store what comes in: %w", err)
	}
	return digest, size, nil
}

// OpenAt returns what is stored from offset on, or ErrNotFound. Its reader may
// go on beyond length bytes, which are all that its caller should read.
func (s *Store) OpenAt(ctx context.Context, digest string, offset, length int64) (io.ReadCloser, error) {
	k, err := key(digest)
	if err != nil {
		return nil, fmt.Errorf("read artifact: %w", err)
	}
	if s.dir == "" {
		r, err := s.bucket.NewRangeReader(ctx, k, offset, length, nil)
		if err != nil {
			return nil, fmt.Errorf("read artifact %s: %w", digest, known(err))
		}
		return r, nil
	}
	// A file of its own can be sent without going through this process.
	f, err := os.Open(filepath.Join(s.dir, filepath.FromSlash(k)))
	if os.IsNotExist(err) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	return f, nil
}

// Remove takes away what is stored under a digest. Nothing there is no error.
func (s *Store) Remove(ctx context.Context, digest string) error {
	k, err := key(digest)
	if err == nil {
		err = known(s.bucket.Delete(ctx, k))
	}
	if err != nil && err != ErrNotFound { //nolint:errorlint // it is what known returns
		return fmt.Errorf("remove artifact %s: %w", digest, err)
	}
	return nil
}

// Each calls do with each digest that is stored, until it returns an error.
func (s *Store) Each(ctx context.Context, do func(digest string) error) error {
	all := s.bucket.List(&blob.ListOptions{Prefix: "sha256/"})
	for {
		o, err := all.Next(ctx)
		if err == io.EOF { //nolint:errorlint // it is what List returns
			return nil
		}
		if err != nil {
			return fmt.Errorf("list artifacts: %w", err)
		}
		hex := strings.TrimSuffix(o.Key[strings.LastIndexByte(o.Key, '/')+1:], ".zip")
		if digest := "sha256:" + hex; digestForm.MatchString(digest) {
			if err := do(digest); err != nil {
				return err
			}
		}
	}
}
