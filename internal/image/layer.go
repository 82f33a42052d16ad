package image

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// layer is the artifact's files as a layer of an image, kept in a file.
type layer struct {
	file           string
	digest, diffID v1.Hash
	size           int64 // compressed
	bytes          int64 // of the files
	files          int
	media          types.MediaType
	paths          map[string]placed // by path in the image, without the first slash
}

// placed is one file of the layer.
type placed struct {
	mode   fs.FileMode
	target string // of a symbolic link
	source string // in the artifact
}

var _ v1.Layer = (*layer)(nil)

func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return l.media, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return os.Open(l.file) }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return uncompressed(l.file) }

func uncompressed(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// as returns the layer under the media type that goes with a manifest's.
func (l *layer) as(manifest types.MediaType) *layer {
	same := *l
	same.media = types.OCILayer
	if manifest == types.DockerManifestSchema2 {
		same.media = types.DockerLayer
	}
	return &same
}

// layer writes the artifact's files to a compressed archive, in one pass that
// also takes both digests.
func (m *making) layer(ctx context.Context, on base) (l *layer, err error) {
	m.progress("pack %s", m.cfg.Path)
	root, err := os.OpenRoot(m.files)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := os.OpenFile(m.packed, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	compressed, plain := sha256.New(), sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, compressed), 1<<18)
	zw, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := layering{
		tar:      tar.NewWriter(io.MultiWriter(zw, plain)),
		root:     root,
		path:     strings.TrimPrefix(m.cfg.Path, "/"),
		without:  on.dir,
		onTop:    !on.scratch(),
		layer:    &layer{file: m.packed, paths: map[string]placed{}},
		made:     map[string]bool{},
		copyWith: make([]byte, 1<<18),
	}
	if err := w.all(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(w.tar.Close(), zw.Close(), buffered.Flush()); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w.layer.size, w.layer.digest, w.layer.diffID = info.Size(), sum(compressed), sum(plain)
	return w.layer, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// layering is the writing of one layer.
type layering struct {
	tar      *tar.Writer
	root     *os.Root
	path     string // in the image, where the files go
	without  string // directory of the artifact that stays out
	onTop    bool   // there are layers below
	layer    *layer
	made     map[string]bool // directories written
	copyWith []byte
}

// all writes every file, in the order of the tree, which does not depend on
// the disk.
func (w *layering) all(ctx context.Context) error {
	if w.path != "" {
		if err := w.dir(w.path); err != nil {
			return err
		}
	}
	err := fs.WalkDir(w.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case name == ".":
			return nil
		case d.IsDir() && name == filepath.ToSlash(w.without):
			return fs.SkipDir
		case strings.HasPrefix(path.Base(name), ".wh."):
			return refuse("the artifact has a file %s; in an image a name that begins with .wh. would delete a file of the base, so give it another", name)
		}
		if err := w.add(name, d); err != nil {
			return fmt.Errorf("add %s to the layer: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w.layer.files == 0 {
		return refuse("the artifact has no files to put into the image; check artifacts: in the buildspec that makes it")
	}
	return nil
}

func (w *layering) add(name string, d fs.DirEntry) error {
	at := path.Join(w.path, name)
	switch {
	case d.IsDir():
		return w.dir(at)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := w.root.Readlink(name)
		if err != nil {
			return err
		}
		w.layer.files++
		w.layer.paths[at] = placed{mode: fs.ModeSymlink, target: target, source: name}
		h := header(tar.TypeSymlink, at, 0o777)
		h.Linkname = target
		return w.tar.WriteHeader(h)
	}
	return w.file(name, at)
}

func (w *layering) file(name, at string) error {
	f, err := w.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	h := header(tar.TypeReg, at, int64(mode))
	h.Size = info.Size()
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	w.layer.files++
	w.layer.bytes += info.Size()
	w.layer.paths[at] = placed{mode: mode, source: name}
	_, err = io.CopyBuffer(struct{ io.Writer }{w.tar}, f, w.copyWith)
	return err
}

// usual are the directories that a base has or whose place it keeps, often as
// a symbolic link (/bin to /usr/bin, /var/run to /run) or with special modes.
// An entry in a layer above would replace the link by an empty directory.
var usual = func() map[string]bool {
	set := map[string]bool{}
	for d := range strings.FieldsSeq(`bin boot dev etc home lib lib32 lib64 media mnt opt proc root run sbin srv sys tmp
		usr usr/bin usr/lib usr/lib32 usr/lib64 usr/local usr/local/bin usr/local/lib usr/local/sbin usr/local/share
		usr/sbin usr/share usr/src usr/tmp var var/cache var/lib var/lock var/log var/run var/spool var/tmp`) {
		set[d] = true
	}
	return set
}()

// dir writes a directory and those above it.
func (w *layering) dir(at string) error {
	if at == "." || at == "" || w.made[at] {
		return nil
	}
	if err := w.dir(path.Dir(at)); err != nil {
		return err
	}
	w.made[at] = true
	w.layer.paths[at] = placed{mode: fs.ModeDir | 0o755}
	if w.onTop && usual[at] {
		return nil
	}
	return w.tar.WriteHeader(header(tar.TypeDir, at+"/", 0o755))
}

// header describes an entry: root's, and as old as time.
func header(kind byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: time.Unix(0, 0).UTC()}
}
