package drain

import (
	"io"
	"net"
	"sync"
)

// windowSize is what an idle connection holds for each direction: most heads
// fit. bulk is what a body goes through.
const (
	windowSize = 4 << 10
	bulkSize   = 32 << 10
)

var bulks = sync.Pool{New: func() any { return new([bulkSize]byte) }}

// window is what has been read of one direction and not been passed on yet.
type window struct {
	buf  []byte
	r, w int
}

func newWindow() *window { return &window{buf: make([]byte, windowSize)} }

func (w *window) bytes() []byte { return w.buf[w.r:w.w] }

func (w *window) advance(n int) {
	w.r += n
	if w.r == w.w {
		w.r, w.w = 0, 0
	}
}

// fill reads once, behind what is there already.
func (w *window) fill(src io.Reader) error {
	w.room(1)
	n, err := src.Read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	return err
}

// put puts data behind what is there.
func (w *window) put(data []byte) {
	w.room(len(data))
	w.w += copy(w.buf[w.w:], data)
}

// room makes space for n bytes.
func (w *window) room(n int) {
	if len(w.buf)-w.w >= n {
		return
	}
	if w.r > 0 {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	for size := len(w.buf); size-w.w < n; {
		size *= 2
		w.buf = append(make([]byte, 0, size), w.buf[:w.w]...)[:size]
	}
}

// shrink gives back what a long head took.
func (w *window) shrink() {
	if w.r == w.w && len(w.buf) > bulkSize {
		*w = *newWindow()
	}
}

// passBody writes head and then the body that follows it in src. Not ok means
// that the body is not what its head promised: what was read of it has been
// passed on or is in the window. More than the head and what the window holds
// is moved inside the kernel where the length is known.
func passBody(dst, src *net.TCPConn, w *window, head []byte, b body) (ok bool, err error) {
	out := net.Buffers{head}
	done := b == nil
	ok = true
	if b != nil && len(w.bytes()) > 0 {
		var n int
		n, done, ok = b.scan(w.bytes())
		out = append(out, w.bytes()[:n])
		defer func() { w.shrink() }()
		_, err = out.WriteTo(dst)
		w.advance(n)
	} else {
		_, err = out.WriteTo(dst)
	}
	if err != nil || done || !ok {
		return ok, err
	}
	if c, known := b.(*counted); known && c.left > bulkSize {
		_, err = io.CopyN(dst, src, c.left)
		return true, err
	}
	return passRest(dst, src, w, b)
}

func passRest(dst io.Writer, src io.Reader, w *window, b body) (ok bool, err error) {
	bulk, _ := bulks.Get().(*[bulkSize]byte)
	defer bulks.Put(bulk)
	for {
		read, err := src.Read(bulk[:])
		if read == 0 && err != nil {
			return true, err
		}
		n, done, ok := b.scan(bulk[:read])
		if _, err := dst.Write(bulk[:n]); err != nil {
			return ok, err
		}
		if done || !ok {
			w.put(bulk[n:read])
			return ok, nil
		}
	}
}
