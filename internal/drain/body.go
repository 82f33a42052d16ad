package drain

import "bytes"

// body finds the end of a message's body in the bytes that go by.
type body interface {
	// scan says how many of the bytes belong to the body, and whether it ends
	// with them. Not ok means that they are not what the head promised.
	scan(p []byte) (n int, done, ok bool)
}

// bodyOfRequest is nil when there is none.
func bodyOfRequest(h head) body {
	switch {
	case h.chunked:
		return &chunks{}
	case h.length > 0:
		return &counted{left: h.length}
	}
	return nil
}

// bodyOfResponse is nil when there is none.
func bodyOfResponse(h head, method string) body {
	switch {
	case method == "HEAD", h.status < 200, h.status == 204, h.status == 304, h.length == 0:
		return nil
	case h.chunked:
		return &chunks{}
	case h.length > 0:
		return &counted{left: h.length}
	}
	return &endless{}
}

// counted is a body of a known length.
type counted struct{ left int64 }

func (c *counted) scan(p []byte) (n int, done, ok bool) {
	n = int(min(int64(len(p)), c.left))
	c.left -= int64(n)
	return n, c.left == 0, true
}

// endless is a body that ends with its connection.
type endless struct{}

func (*endless) scan(p []byte) (n int, done, ok bool) { return len(p), false, true }

// maxChunkLine is how long the line before a chunk, or one of the trailers,
// may be.
const maxChunkLine = 16 << 10

// chunks is a body of chunks and trailers.
type chunks struct {
	left  int64  // of the present chunk, with its line end
	line  []byte // what has come of the present line
	ended bool   // the last chunk has come, what follows are trailers
}

func (c *chunks) scan(p []byte) (n int, done, ok bool) {
	for n < len(p) {
		if c.left > 0 {
			step := int(min(int64(len(p)-n), c.left))
			c.left -= int64(step)
			n += step
			continue
		}
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			c.line = append(c.line, p[n:]...)
			return len(p), false, len(c.line) <= maxChunkLine
		}
		c.line = append(c.line, p[n:n+end]...)
		n += end + 1
		line := bytes.TrimSuffix(c.line, []byte("\r"))
		c.line = c.line[:0]
		switch size, ok := chunkSize(line); {
		case c.ended && len(line) == 0:
			return n, true, true
		case c.ended: // a trailer
		case !ok:
			return n, false, false
		case size == 0:
			c.ended = true
		default:
			c.left = size + 2
		}
	}
	return n, false, true
}

// chunkSize reads the hexadecimal number before any extension.
func chunkSize(line []byte) (size int64, ok bool) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, b := range digits {
		var d byte
		switch {
		case b >= '0' && b <= '9':
			d = b - '0'
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			d = b | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		size = size<<4 | int64(d)
	}
	return size, true
}
