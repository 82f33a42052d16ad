// Package artifact holds directories of files between the actions of an
// execution: a content-addressed store of zip archives, the form that AWS's
// pipelines hand over. An action packs what it made, the next one unpacks it,
// and the digest that names it is checked on the way.
//
// The store is the second stop of the flow: revision -> artifact -> image ->
// release. It knows files and digests; it must not know pipelines, actions or
// who asks.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

// ErrNotFound is what a digest that the store does not hold gives, wrapped. It
// is fs.ErrNotExist as well, for rooms that cannot import this one.
var ErrNotFound = fmt.Errorf("no such artifact: %w", fs.ErrNotExist)

// Limits bound what one archive may do to the machine that unpacks it. Zero
// values mean those of Default.
type Limits struct {
	Files int   // entries of one archive
	Bytes int64 // of all files of one archive, unpacked
}

// Config says where artifacts are kept and how large one may be.
type Config struct {
	// Bucket holds the archives, under sha256/XX/HEX.zip. The store closes it.
	Bucket *blob.Bucket

	// Dir is the directory behind Bucket, when there is one: archives are then
	// written in place and renamed instead of being copied. Empty for a bucket
	// that is reached over the network.
	Dir string

	Limits Limits

	// Logger is told of files that an artifact had to leave out. Nil discards.
	Logger *slog.Logger
}

// Default is the configuration that Open takes, but for the place.
func Default() Config {
	return Config{
		Limits: Limits{Files: 200_000, Bytes: 16 << 30},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// Store keeps archives by the digest of their bytes. It is safe for concurrent
// use, by several processes too: an archive appears whole or not at all.
type Store struct {
	bucket *blob.Bucket
	dir    string // of the bucket's files, or empty
	temp   string // of archives being written
	limits Limits
	log    *slog.Logger
}

// Open returns the store in a directory, which it creates for this user alone
// when it is missing. A file URL (file:///var/lib/towline/artifacts) names the
// same. Other places go through New with a bucket of gocloud.dev.
func Open(ctx context.Context, location string) (*Store, error) {
	dir, err := directory(location)
	if err != nil {
		return nil, err
	}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{
		CreateDir:   true,
		DirFileMode: 0o700,
		NoTempDir:   true,
		Metadata:    fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, fmt.Errorf("open artifact store %s: %w", dir, err)
	}
	cfg := Default()
	cfg.Bucket, cfg.Dir = bucket, dir
	return New(ctx, cfg)
}

// New returns a store over the bucket of cfg.
func New(ctx context.Context, cfg Config) (*Store, error) {
	def := Default()
	s := &Store{bucket: cfg.Bucket, dir: cfg.Dir, temp: os.TempDir(), limits: cfg.Limits, log: cfg.Logger}
	if s.limits.Files == 0 {
		s.limits.Files = def.Limits.Files
	}
	if s.limits.Bytes == 0 {
		s.limits.Bytes = def.Limits.Bytes
	}
	if s.log == nil {
		s.log = def.Logger
	}
	if s.dir == "" {
		return s, nil
	}
	s.temp = filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(s.temp, 0o700); err != nil {
		return nil, fmt.Errorf("open artifact store %s: %w", s.dir, err)
	}
	return s, s.sweep(ctx)
}

// Close releases the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// directory is the path that a location names.
func directory(location string) (string, error) {
	if !strings.Contains(location, "://") {
		return filepath.Abs(location)
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("open artifact store: %w", err)
	}
	if u.Scheme != "file" || (u.Host != "" && u.Host != "localhost") || u.Path == "" || u.RawQuery != "" {
		return "", fmt.Errorf("open artifact store %s: only a directory or a file:///DIR URL is a place for artifacts", u.Redacted())
	}
	return filepath.Clean(u.Path), nil
}

// abandoned is the age after which a half-written archive has no writer any
// more: no action runs that long.
const abandoned = 48 * time.Hour

// sweep removes what writers that were killed left behind.
func (s *Store) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(s.temp)
	if err != nil {
		return fmt.Errorf("open artifact store %s: %w", s.dir, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := os.Remove(filepath.Join(s.temp, e.Name())); err != nil {
			s.log.WarnContext(ctx, "remove an abandoned artifact", "file", e.Name(), "error", err)
		}
	}
	return nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// key is the name of a digest's archive in the bucket. It has the form of a
// path, so a digest that comes from outside is checked here.
func key(digest string) (string, error) {
	if !digestForm.MatchString(digest) {
		return "", fmt.Errorf("%q is not a digest of the form sha256:HEX", digest)
	}
	hex := strings.TrimPrefix(digest, "sha256:")
	return "sha256/" + hex[:2] + "/" + hex + ".zip", nil
}

// Stat returns the size of an archive in bytes, or ErrNotFound.
func (s *Store) Stat(ctx context.Context, digest string) (int64, error) {
	k, err := key(digest)
	if err != nil {
		return 0, fmt.Errorf("find artifact: %w", err)
	}
	attrs, err := s.bucket.Attributes(ctx, k)
	if err != nil {
		return 0, fmt.Errorf("find artifact %s: %w", digest, known(err))
	}
	return attrs.Size, nil
}

// Open returns the bytes of an archive and how many they are, or ErrNotFound.
// The bytes are as stored: a reader that cares compares their digest.
func (s *Store) Open(ctx context.Context, digest string) (io.ReadCloser, int64, error) {
	k, err := key(digest)
	if err != nil {
		return nil, 0, fmt.Errorf("read artifact: %w", err)
	}
	r, err := s.bucket.NewReader(ctx, k, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("read artifact %s: %w", digest, known(err))
	}
	return r, r.Size(), nil
}

// known turns a bucket's answer that there is no such key into ErrNotFound.
func known(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound && !errors.Is(err, ErrNotFound) {
		return ErrNotFound
	}
	return err
}
