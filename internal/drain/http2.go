package drain

import (
	"encoding/binary"
	"strings"
)

// preface is what a client of HTTP/2 begins with.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// mayBePreface tells whether data can still become the preface.
func mayBePreface(data []byte) bool {
	return len(data) > 0 && strings.HasPrefix(preface, string(data[:min(len(data), len(preface))]))
}

// The parts of a frame of HTTP/2 (RFC 9113) that are looked at.
const (
	frameHeader  = 9
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3
	frameGoAway  = 7
	frameMore    = 9 // CONTINUATION

	flagEndStream  = 1
	flagEndHeaders = 4

	maxStream = 1<<31 - 1
)

// frames follows the frames of one direction.
type frames struct {
	header [frameHeader]byte
	have   int   // bytes of the header that have come
	left   int   // bytes of the payload that have not come yet
	block  bool  // inside a block of headers, which nothing may interrupt
	seen   int64 // frames that have gone by
}

// boundary tells whether another frame may stand here.
func (f *frames) boundary() bool { return f.have == 0 && f.left == 0 && !f.block && f.seen > 0 }

// frame is the header of one frame.
type frame struct {
	kind   byte
	flags  byte
	stream uint32
}

// scan looks at the bytes of one write. It stops after each frame, so that
// another one can be put behind it.
func (f *frames) scan(p []byte, begins func(frame)) (n int) {
	for n < len(p) {
		if f.have < frameHeader {
			step := copy(f.header[f.have:], p[n:])
			f.have += step
			n += step
			if f.have < frameHeader {
				return n
			}
			f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
			fr := frame{kind: f.header[3], flags: f.header[4], stream: binary.BigEndian.Uint32(f.header[5:]) & maxStream}
			if fr.kind == frameHeaders || fr.kind == frameMore || fr.kind == 5 { // 5 is PUSH_PROMISE
				f.block = fr.flags&flagEndHeaders == 0
			}
			begins(fr)
		}
		step := min(len(p)-n, f.left)
		f.left -= step
		n += step
		if f.left == 0 {
			f.have = 0
			f.seen++
			return n
		}
	}
	return n
}

// streams are the requests of a connection of HTTP/2.
type streams struct {
	open   map[uint32]byte // which sides have not ended it: 1 client, 2 application
	last   uint32          // the highest one that the client began
	goAway bool            // the application has sent a GOAWAY of its own
}

const (
	clientSide = 1
	appSide    = 2
)

// note takes in a frame that was sent by that side.
func (s *streams) note(f frame, side byte) {
	if s.open == nil {
		s.open = map[uint32]byte{}
	}
	switch f.kind {
	case frameHeaders:
		if side == clientSide && f.stream > s.last && f.stream%2 == 1 {
			s.last = f.stream
			s.open[f.stream] = clientSide | appSide
		}
	case frameReset:
		delete(s.open, f.stream)
	case frameGoAway:
		s.goAway = s.goAway || side == appSide
	}
	if (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0 {
		if left := s.open[f.stream] &^ side; left == 0 {
			delete(s.open, f.stream)
		} else {
			s.open[f.stream] = left
		}
	}
}

// goAway is the frame that asks a client to begin no stream above last, with
// the code NO_ERROR.
func goAway(last uint32) []byte {
	out := []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, last)
	return binary.BigEndian.AppendUint32(out, 0)
}
