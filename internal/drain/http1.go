package drain

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// maxHead is the longest head that is looked at. A connection with a longer
// one is passed on without being understood.
const maxHead = 64 << 10

// head is the first part of a message of HTTP/1.1, up to and with its empty
// line, as far as it says where the message ends.
type head struct {
	raw     []byte // as it came
	minor   byte   // of the version: '0' or '1'
	method  string // of a request
	status  int    // of a response
	length  int64  // of the body, -1 when none is given
	chunked bool
	close   bool // the sender closes the connection after this message
	keep    bool // the sender of HTTP/1.0 keeps it open
	upgrade bool // of a request that asks for another protocol
}

// headEnd is where the head at the beginning of data ends, 0 when it has not
// come whole yet.
func headEnd(data []byte) int {
	if i := bytes.Index(data, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return 0
}

// mayBeRequest tells whether data can still become the head of a request. What
// cannot must not be held back until an end that will never come.
func mayBeRequest(data []byte) bool {
	line, _, whole := bytes.Cut(data, []byte("\r\n"))
	method, rest, spaced := bytes.Cut(line, []byte(" "))
	if len(method) > 24 || len(method) == 0 && spaced || slices.ContainsFunc(method, func(b byte) bool { return !isToken(b) && b != '\r' }) {
		return false
	}
	if !whole {
		return len(data) < maxHead && bytes.IndexByte(line, '\n') < 0
	}
	return spaced && versionOf(rest) != 0
}

// versionOf is the minor version at the end of a request line, 0 when it is
// not of HTTP/1.
func versionOf(line []byte) byte {
	i := bytes.LastIndexByte(line, ' ')
	if i <= 0 {
		return 0
	}
	return minorOf(line[i+1:])
}

func minorOf(version []byte) byte {
	if len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/1.")) && (version[7] == '0' || version[7] == '1') {
		return version[7]
	}
	return 0
}

// parseRequest reads the head of a request. Not ok means that its end cannot
// be told for certain.
func parseRequest(raw []byte) (h head, ok bool) {
	line, fields, _ := bytes.Cut(raw, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	h = head{raw: raw, method: string(method), minor: versionOf(rest), length: -1}
	if h.minor == 0 || !h.parseFields(fields) {
		return h, false
	}
	// Without a length and chunks a request has no body.
	return h, !h.chunked || h.minor == '1'
}

// parseResponse reads the head of a response.
func parseResponse(raw []byte) (h head, ok bool) {
	line, fields, _ := bytes.Cut(raw, []byte("\r\n"))
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, err := strconv.Atoi(string(code))
	h = head{raw: raw, minor: minorOf(version), status: status, length: -1}
	if err != nil || status < 100 || status > 999 || h.minor == 0 {
		return h, false
	}
	return h, h.parseFields(fields)
}

// parseFields reads the fields that say where a message ends. Whatever two
// readers might understand differently is not ok.
func (h *head) parseFields(fields []byte) bool {
	for len(fields) > 2 {
		line, rest, _ := bytes.Cut(fields, []byte("\r\n"))
		fields = rest
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.IndexByte(line, '\n') >= 0 || slices.ContainsFunc(name, func(b byte) bool { return !isToken(b) }) {
			return false
		}
		value = bytes.Trim(value, " \t")
		switch {
		case is(name, "Content-Length"):
			n, err := strconv.ParseUint(string(value), 10, 62)
			if err != nil || h.length >= 0 && h.length != int64(n) {
				return false
			}
			h.length = int64(n)
		case is(name, "Transfer-Encoding"):
			if h.chunked || !is(value, "chunked") {
				return false
			}
			h.chunked = true
		case is(name, "Connection"):
			for token := range strings.SplitSeq(strings.ToLower(string(value)), ",") {
				token = strings.TrimSpace(token)
				h.close = h.close || token == "close"
				h.keep = h.keep || token == "keep-alive"
				h.upgrade = h.upgrade || token == "upgrade"
			}
		}
	}
	return !h.chunked || h.length < 0
}

func is(b []byte, name string) bool { return strings.EqualFold(string(b), name) }

func isToken(b byte) bool {
	return b > ' ' && b < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(b))
}

// persists tells whether the sender keeps the connection open after this
// message.
func (h *head) persists() bool {
	return !h.close && (h.minor == '1' || h.keep)
}

// withForwarded is the head with the client's address at the end of
// X-Forwarded-For.
func (h *head) withForwarded(client string) []byte {
	out := make([]byte, 0, len(h.raw)+len(client)+24)
	lines := splitLines(h.raw)
	last := -1
	for i, line := range lines {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && i > 0 && is(name, "X-Forwarded-For") {
			last = i
		}
	}
	for i, line := range lines {
		out = append(out, line...)
		if i == last {
			out = append(out, ", "+client...)
		}
		out = append(out, "\r\n"...)
	}
	if last < 0 {
		out = append(out, "X-Forwarded-For: "+client+"\r\n"...)
	}
	return append(out, "\r\n"...)
}

// withClose is the head with the word that the connection ends after it, and
// without those that say otherwise.
func (h *head) withClose() []byte {
	out := make([]byte, 0, len(h.raw)+24)
	connection := []string{"close"}
	for i, line := range splitLines(h.raw) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case i > 0 && is(name, "Keep-Alive"):
			continue
		case i > 0 && is(name, "Connection"):
			for token := range strings.SplitSeq(string(value), ",") {
				token = strings.TrimSpace(token)
				if token != "" && !strings.EqualFold(token, "keep-alive") && !strings.EqualFold(token, "close") {
					connection = append(connection, token)
				}
			}
			continue
		}
		out = append(append(out, line...), "\r\n"...)
	}
	return append(append(out, "Connection: "+strings.Join(connection, ", ")...), "\r\n\r\n"...)
}

// splitLines are the lines of a head without their ends and without the empty
// one.
func splitLines(raw []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(raw, []byte("\r\n\r\n")), []byte("\r\n"))
}
