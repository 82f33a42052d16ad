package report

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// mended reads a whole file and replaces what XML forbids and test runners write
// all the same, before it is read as XML.
func mended(read func(*document, *found) error) func(io.Reader, *found) error {
	return func(r io.Reader, into *found) error {
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return streamed(read)(bytes.NewReader(mend(text)), into)
	}
}

// controls are references to characters below space, which XML forbids but for
// tab, line feed and carriage return.
var controls = regexp.MustCompile(`&#(?:x0*(?:1?[0-9a-fA-F])|0*(?:[12]?[0-9]|3[01]));`)

// other are the names of encodings in which UTF-8's rules say nothing.
var other = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*(?:8859-1|latin1|windows-1252)`)

// mend replaces the control characters of coloured output, and broken UTF-8.
func mend(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	for i, b := range text {
		if b < ' ' && b != '\n' && b != '\t' && b != '\r' {
			text[i] = ' '
		}
	}
	if !other.Match(text) {
		text = bytes.ToValidUTF8(text, []byte("?"))
	}
	return controls.ReplaceAllFunc(text, func(ref []byte) []byte {
		switch n := strings.ToLower(strings.TrimLeft(string(ref[2:len(ref)-1]), "0")); n {
		case "9", "10", "13", "x9", "xa", "xd":
			return ref
		}
		return []byte(" ")
	})
}

// charset decodes the two encodings besides UTF-8 that are found in the wild.
// The first 256 characters of Unicode are those of Latin-1.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "windows-1252":
	default:
		return nil, fmt.Errorf("its encoding is %q; write UTF-8", label)
	}
	return &latin1{from: r}, nil
}

// latin1 decodes as it reads.
type latin1 struct {
	from io.Reader
	rest []byte // decoded, and not taken yet
	err  error
}

var _ io.Reader = (*latin1)(nil)

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 && l.err == nil {
		var buf [2048]byte
		n, err := l.from.Read(buf[:])
		l.err = err
		l.rest = l.rest[:0]
		for _, b := range buf[:n] {
			l.rest = append(l.rest, string(rune(b))...)
		}
	}
	if len(l.rest) == 0 {
		return 0, l.err
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
