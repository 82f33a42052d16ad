package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"
)

// What stands for a body's digest where its client has not computed it.
const (
	UnsignedPayload       = "UNSIGNED-PAYLOAD"
	signedChunks          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	unsignedChunksTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Chunked tells whether a digest says that the body comes in chunks, so that its
// length is in another header than Content-Length.
func Chunked(digest string) bool { return strings.HasPrefix(digest, "STREAMING-") }

// Body is a request's body as it was signed: a read that comes to its end
// without an error has seen the bytes that the client meant.
type Body struct {
	io.Reader
	// Trailer has, at the end, what followed the chunks, by names in lower case.
	Trailer map[string]string
}

// Body reads a body whose digest is the one that the signature was checked
// with. Errors of reading are *Error when the client is to blame: of kind
// BadPayload, Mismatch, Malformed or Incomplete.
func (v Verified) Body(body io.Reader, digest string) (*Body, error) {
	b := &Body{Trailer: map[string]string{}}
	c := &chunks{in: bufio.NewReaderSize(body, 64<<10), signature: v.Signature, key: v.signing, previous: v.Signature.Value, trailer: b.Trailer, sum: sha256.New()}
	switch {
	case digest == UnsignedPayload:
		b.Reader = body
	case signatureForm.MatchString(digest):
		b.Reader = &summed{in: body, want: digest, sum: sha256.New()}
	case digest == signedChunks:
		c.signed, b.Reader = true, c
	case digest == signedChunksTrailer:
		c.signed, c.trails, b.Reader = true, true, c
	case digest == unsignedChunksTrailer:
		c.trails, b.Reader = true, c
	default:
		return nil, refuse(Malformed, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, %s, %s, %s or a SHA-256 in hex.", unsignedChunksTrailer, signedChunks, signedChunksTrailer)
	}
	return b, nil
}

// summed compares the digest of what was read at its end.
type summed struct {
	in   io.Reader
	want string
	sum  hash.Hash
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(s.sum.Sum(nil)) != s.want {
		err = refuse(BadPayload, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return n, err
}

// maxChunk bounds what one chunk says of its size, and maxTrailers how many
// lines follow the last one.
const (
	maxChunk    = 5 << 30
	maxTrailers = 16
)

// chunks reads a body in AWS's chunks: each has its size, its signature and its
// bytes, an empty one ends them, and lines may follow.
type chunks struct {
	in        *bufio.Reader
	signature Signature
	key       []byte
	signed    bool // each chunk has a signature
	trails    bool // lines follow the last chunk
	trailer   map[string]string

	previous string // signature, of which each next one is made
	current  string // signature of this chunk
	open     bool   // a chunk has begun
	left     int64  // of this chunk
	sum      hash.Hash
	err      error // io.EOF at the end
}

// Read reads bytes of chunks.
func (c *chunks) Read(p []byte) (int, error) {
	for c.left == 0 && c.err == nil {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.signed {
		c.sum.Write(p[:n])
	}
	if err != nil {
		c.err = cut(err)
	}
	return n, c.err
}

// cut is what a body is whose end came too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(Incomplete, "You did not provide the number of bytes specified by the Content-Length HTTP header")
	}
	return err
}

// next ends one chunk and begins another. It returns io.EOF after the last one.
func (c *chunks) next() error {
	if c.open {
		if line, err := c.line(); err != nil || line != "" {
			return orMalformed(err)
		}
		if err := c.check(); err != nil {
			return err
		}
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	size, rest, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil || n > maxChunk {
		return orMalformed(nil)
	}
	if c.signed {
		signature, ok := strings.CutPrefix(rest, "chunk-signature=")
		if !ok || !signatureForm.MatchString(signature) {
			return orMalformed(nil)
		}
		c.current = signature
	}
	c.open, c.left = true, int64(n)
	if n > 0 {
		return nil
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.end()
}

func orMalformed(err error) error {
	if err != nil {
		return err
	}
	return refuse(Malformed, "The chunks of the body do not have the form that x-amz-content-sha256 says.")
}

// check compares the signature of the chunk that was read.
func (c *chunks) check() error {
	if !c.signed {
		return nil
	}
	sum := hex.EncodeToString(c.sum.Sum(nil))
	c.sum.Reset()
	return c.same("AWS4-HMAC-SHA256-PAYLOAD", Digest(nil)+"\n"+sum, c.current)
}

// same compares a signature that is made of the one before it.
func (c *chunks) same(name, of, given string) error {
	s := c.signature
	want := hex.EncodeToString(keyed(c.key, name+"\n"+s.At.Format(signedAt)+"\n"+s.Scope.String()+"\n"+c.previous+"\n"+of))
	if subtle.ConstantTimeCompare([]byte(want), []byte(given)) != 1 {
		return mismatch()
	}
	c.previous = given
	return nil
}

// end reads what follows the last chunk.
func (c *chunks) end() error {
	var text strings.Builder
	given := ""
	for range maxTrailers {
		line, err := c.line()
		if err != nil {
			return err
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case line == "" && c.unfinished(given):
			continue
		case line == "":
			if c.signed && c.trails {
				if err := c.same("AWS4-HMAC-SHA256-TRAILER", Digest([]byte(text.String())), given); err != nil {
					return err
				}
			}
			return io.EOF
		case !ok || !c.trails:
			return orMalformed(nil)
		case name == "x-amz-trailer-signature":
			given = value
		default:
			c.trailer[name] = value
			text.WriteString(name + ":" + value + "\n")
		}
	}
	return orMalformed(nil)
}

// unfinished tells whether an empty line is none that ends the trailer: some
// clients write one before it, or before its signature.
func (c *chunks) unfinished(signature string) bool {
	if c.signed {
		return c.trails && signature == ""
	}
	_, err := c.in.Peek(1)
	return c.trails && len(c.trailer) == 0 && err == nil
}

// line reads a line without its end, which some clients write in one character.
func (c *chunks) line() (string, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", orMalformed(nil)
	case err != nil:
		return "", cut(err)
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}
