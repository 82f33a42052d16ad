package agent

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// nobody is the image's user: not root.
const nobody = "65532:65532"

// Path is where the program is in the image.
const Path = "/towline"

// image is the executable as an image. The same executable makes the same
// digest, whoever makes it and when.
func (e executable) image() (v1.Image, error) {
	packed, err := e.pack()
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", e.path, err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: packed, History: v1.History{CreatedBy: "towline agent push"}}); err != nil {
		return nil, fmt.Errorf("make the agent image: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make the agent image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = e.platform.OS, e.platform.Architecture
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{Entrypoint: []string{Path}, Cmd: []string{"agent", "--help"}, User: nobody, WorkingDir: "/"}
	return mutate.ConfigFile(img, config)
}

// layer is the one layer of the image, compressed, in memory: a third of the
// executable.
type layer struct {
	content        []byte
	digest, diffID v1.Hash
}

var _ v1.Layer = (*layer)(nil)

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return int64(len(l.content)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.content)), nil
}

func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return gzip.NewReader(bytes.NewReader(l.content))
}

func (e executable) pack() (l *layer, err error) {
	f, err := os.Open(e.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var content bytes.Buffer
	compressed, plain, program := sha256.New(), sha256.New(), sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(&content, compressed), 1<<18)
	zipped, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(io.MultiWriter(zipped, plain))
	header := &tar.Header{Typeflag: tar.TypeReg, Name: Path[1:], Mode: 0o755, Size: e.size, ModTime: time.Unix(0, 0).UTC()}
	if err := archive.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(archive, program)}, f, make([]byte, 1<<18)); err != nil {
		return nil, err
	}
	if err := errors.Join(archive.Close(), zipped.Close(), out.Flush()); err != nil {
		return nil, err
	}
	if hex.EncodeToString(program.Sum(nil)) != e.sum {
		return nil, errors.New("the file was changed while it was read: try again")
	}
	return &layer{content: content.Bytes(), digest: sum(compressed), diffID: sum(plain)}, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
