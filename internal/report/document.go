package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// deepest bounds how far elements nest; real files reach five or six, and
// suites within suites a few more.
const deepest = 100

// document is an XML file that is read once, from its beginning to its end.
// Each method starts behind the start tag of its element and returns behind the
// end tag.
type document struct {
	decoder *xml.Decoder
	depth   int
}

// streamed reads XML as it comes.
func streamed(read func(*document, *found) error) func(io.Reader, *found) error {
	return func(r io.Reader, into *found) error {
		d := &document{decoder: xml.NewDecoder(r)}
		d.decoder.Strict = false
		d.decoder.CharsetReader = charset
		if err := read(d, into); err != nil {
			line, _ := d.decoder.InputPos()
			return fmt.Errorf("line %d: %w", line, err)
		}
		return nil
	}
}

// outermost calls visit for the outermost elements, which must have one of the
// names.
func (d *document) outermost(visit func(xml.StartElement) error, names ...string) error {
	seen := false
	for {
		token, err := d.decoder.Token()
		if errors.Is(err, io.EOF) && seen {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("it holds no XML element")
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !slices.Contains(names, start.Name.Local) {
			return fmt.Errorf("the outermost element is <%s>, a file of this format has <%s>", shorten(start.Name.Local, longestName), strings.Join(names, "> or <"))
		}
		seen = true
		if err := visit(start); err != nil {
			return err
		}
	}
}

// children calls visit for each child element; visit must consume it.
func (d *document) children(visit func(xml.StartElement) error) error {
	d.depth++
	defer func() { d.depth-- }()
	if d.depth > deepest {
		return fmt.Errorf("elements nest deeper than %d", deepest)
	}
	for {
		token, err := d.decoder.Token()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := visit(token); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// skip reads past an element. Unlike the decoder's own Skip it bounds how deep
// that goes.
func (d *document) skip() error {
	return d.children(func(xml.StartElement) error { return d.skip() })
}

// text is the text of an element and of those in it, cut to what is kept of it.
func (d *document) text() (string, error) {
	var text strings.Builder
	for depth := 1; depth > 0; {
		token, err := d.decoder.Token()
		if errors.Is(err, io.EOF) {
			return "", io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if text.Len() < 2*longestMessage {
				text.Write(token[:min(len(token), 2*longestMessage)])
			}
		}
	}
	return strings.TrimSpace(text.String()), nil
}

// texts reads the texts of those children whose names are keys of into.
func (d *document) texts(into map[string]*string) error {
	return d.children(func(child xml.StartElement) error {
		to, wanted := into[child.Name.Local]
		if !wanted {
			return d.skip()
		}
		text, err := d.text()
		if *to == "" {
			*to = text
		}
		return err
	})
}

func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return shorten(a.Value, longestMessage)
		}
	}
	return ""
}

// number is an attribute that counts something, 0 when it does not.
func number(start xml.StartElement, name string) int {
	n, err := strconv.Atoi(attribute(start, name))
	if err != nil || n < 0 || n > mostCount {
		return 0
	}
	return n
}

// mostCount is more than any file counts. It keeps sums from overflowing.
const mostCount = 1 << 30

// seconds reads a duration in seconds. Some runners group its digits.
func seconds(text string) float64 {
	s, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		return 0
	}
	return s
}
