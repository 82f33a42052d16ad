package drain

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMayBeRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, data string
		want       bool
	}{
		{"the beginning of a method", "GE", true},
		{"a request line", "GET / HTTP/1.1\r\n", true},
		{"a line end that has come in part", "GET / HTTP/1.1\r", true},
		{"an own method", "M-SEARCH * HTTP/1.1\r\nHost", true},
		{"a client hello of TLS", "\x16\x03\x01", false},
		{"HTTP/2", "PRI * HTTP/2.0\r\n", false},
		{"another protocol of lines", "EHLO example.com\r\n", false},
		{"a line that ends without a carriage return", "GET / HTTP/1.1\n", false},
		{"a long word", strings.Repeat("A", 30), false},
		{"no method", " / HTTP/1.1", false},
		{"HTTP/0.9", "GET /\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mayBeRequest([]byte(tt.data)); got != tt.want {
				t.Errorf("mayBeRequest(%q) = %v", tt.data, got)
			}
		})
	}
}

func TestARequestWhoseEndIsDoubtfulIsNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, fields string
		want         bool
	}{
		{"no body", "Host: a\r\n", true},
		{"a length", "Content-Length: 3\r\n", true},
		{"the same length twice", "Content-Length: 3\r\ncontent-length: 3\r\n", true},
		{"two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n", false},
		{"a length with a sign", "Content-Length: +3\r\n", false},
		{"a list of lengths", "Content-Length: 3, 3\r\n", false},
		{"chunks", "Transfer-Encoding: Chunked\r\n", true},
		{"chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", false},
		{"a coding behind chunks", "Transfer-Encoding: chunked, gzip\r\n", false},
		{"a hidden coding", "Transfer-Encoding: xchunked\r\n", false},
		{"a space before the colon", "Transfer-Encoding : chunked\r\n", false},
		{"a folded line", "X-A: 1\r\n Transfer-Encoding: chunked\r\n", false},
		{"a bare line feed", "X-A: 1\nTransfer-Encoding: chunked\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, ok := parseRequest([]byte("POST / HTTP/1.1\r\n" + tt.fields + "\r\n")); ok != tt.want {
				t.Errorf("ok %v, want %v", ok, tt.want)
			}
		})
	}
	if _, ok := parseRequest([]byte("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")); ok {
		t.Error("HTTP/1.0 has no chunks")
	}
}

func TestHeadsAreChangedInOneLineOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"a first address", "GET / HTTP/1.1\r\nhOST: a\r\n\r\n", "GET / HTTP/1.1\r\nhOST: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"},
		{"one more address", "GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1, 10.0.0.1\r\nA: b\r\n\r\n"},
		{"the last of two lines", "GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n\r\n", "GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b, 10.0.0.1\r\n\r\n"},
		{"no fields", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"},
	} {
		h, _ := parseRequest([]byte(tt.in))
		if diff := cmp.Diff(tt.want, string(h.withForwarded("10.0.0.1"))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
	for _, tt := range []struct{ name, in, want string }{
		{"nothing said", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"},
		{"keep-alive", "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"},
		{"another token", "HTTP/1.1 200 OK\r\nconnection: keep-alive, X-Hop\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\n\r\n"},
	} {
		h, _ := parseResponse([]byte(tt.in))
		if diff := cmp.Diff(tt.want, string(h.withClose())); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestBodiesEndWhereTheyShould(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, head, method, data string
		want                     int // bytes of data that belong to the message
		done                     bool
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", "abcHTTP", 3, true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "GET", "HTTP", 0, true},
		{"not modified with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", "HTTP", 0, true},
		{"the answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", "HTTP", 0, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nHTTP", 32, true},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "0\r\nA: b\r\nC: d\r\n\r\nHTTP", 17, true},
		{"until the connection ends", "HTTP/1.1 200 OK\r\n\r\n", "GET", "abc", 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// In one piece, and in pieces of one byte.
			for _, size := range []int{len(tt.data), 1} {
				h, ok := parseResponse([]byte(tt.head))
				if !ok {
					t.Fatal("not understood")
				}
				b := bodyOfResponse(h, tt.method)
				n, done := 0, b == nil
				for n < len(tt.data) && !done {
					var step int
					step, done, ok = b.scan([]byte(tt.data[n:min(n+size, len(tt.data))]))
					if n += step; !ok {
						t.Fatal("not ok")
					}
				}
				if n != tt.want || done != tt.done {
					t.Errorf("by %d: ends after %d, %v; want %d, %v", size, n, done, tt.want, tt.done)
				}
			}
		})
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: b\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.0\r\nContent-Length: 4\r\nConnection: keep-alive, a\r\n\r\nabcd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !mayBeRequest(data) || headEnd(data) == 0 {
			return
		}
		end := headEnd(data)
		h, ok := parseRequest(data[:end])
		if !ok {
			return
		}
		out := h.withForwarded("10.0.0.1")
		again, ok := parseRequest(out)
		if !ok || headEnd(out) != len(out) || again.length != h.length || again.chunked != h.chunked || again.close != h.close {
			t.Fatalf("%q became %q", data[:end], out)
		}
		scanBoth(t, bodyOfRequest(h), bodyOfRequest(h), data[end:])
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nConnection: keep-alive, x\r\nContent-Length: 2\r\n\r\nab"))
	f.Add([]byte("HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		end := headEnd(data)
		if end == 0 {
			return
		}
		h, ok := parseResponse(data[:end])
		if !ok {
			return
		}
		out := h.withClose()
		again, ok := parseResponse(out)
		if !ok || headEnd(out) != len(out) || again.persists() || again.length != h.length || again.chunked != h.chunked {
			t.Fatalf("%q became %q", data[:end], out)
		}
		scanBoth(t, bodyOfResponse(h, "GET"), bodyOfResponse(h, "GET"), data[end:])
	})
}

// scanBoth checks that it does not matter in which pieces a body comes.
func scanBoth(t *testing.T, whole, pieces body, data []byte) {
	t.Helper()
	if whole == nil {
		return
	}
	n, done, ok := whole.scan(data)
	m, mdone, mok := 0, false, true
	for i := 0; i < len(data) && !mdone && mok; i++ {
		var step int
		step, mdone, mok = pieces.scan(data[i : i+1])
		m += step
	}
	if n != m || done != mdone || ok != mok {
		t.Fatalf("in one piece %d %v %v, byte by byte %d %v %v", n, done, ok, m, mdone, mok)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x03\x00\x01\x00\x00\x00\x01abc\x00\x00\x00\x01\x05\x00\x00\x00\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, pieces frames
		var s streams
		var seen []frame
		for n := 0; n < len(data); {
			n += whole.scan(data[n:], func(f frame) { seen = append(seen, f); s.note(f, clientSide) })
		}
		var again []frame
		for i := range data {
			pieces.scan(data[i:i+1], func(f frame) { again = append(again, f) })
		}
		if len(seen) != len(again) || whole.boundary() != pieces.boundary() || !bytes.Equal(whole.header[:whole.have], pieces.header[:pieces.have]) {
			t.Fatalf("%v, byte by byte %v", seen, again)
		}
	})
}
