package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// largestJUnit bounds one JUnit file in memory.
	largestJUnit = 32 << 20
	// longestMessage bounds what is kept of one failure.
	longestMessage = 2000
	// mostFailures is how many failures a TestReport lists; all are counted.
	mostFailures = 100
	// deepest bounds how far elements nest; real files reach five or six.
	deepest = 100
)

// ReadJUnit adds the tests of one JUnit XML file to the report: the forms of
// Surefire, pytest, go-junit-report, gotestsum, Jest and their like, suites
// nested as they may be. A test with a failure or an error has failed. Files
// over 32 MB, and what is not JUnit XML, are errors that leave into as it was.
func ReadJUnit(r io.Reader, into *pipeline.TestReport) error {
	text, err := io.ReadAll(io.LimitReader(r, largestJUnit+1))
	if err != nil {
		return fmt.Errorf("read JUnit file: %w", err)
	}
	if len(text) > largestJUnit {
		return fmt.Errorf("read JUnit file: it is larger than %d MB", largestJUnit>>20)
	}
	d := xml.NewDecoder(bytes.NewReader(clean(text)))
	d.Strict = false
	d.CharsetReader = charset
	p := junit{decoder: d}
	if err := p.document(); err != nil {
		return fmt.Errorf("read JUnit file: line %d: %w", line(d), err)
	}
	into.Passed += p.report.Passed
	into.Failed += p.report.Failed
	into.Skipped += p.report.Skipped
	room := max(0, mostFailures-len(into.Failures))
	into.Failures = append(into.Failures, p.report.Failures[:min(room, len(p.report.Failures))]...)
	return nil
}

func line(d *xml.Decoder) int {
	n, _ := d.InputPos()
	return n
}

// junit reads one document. Each method starts behind the start tag of its
// element and returns behind the end tag.
type junit struct {
	decoder *xml.Decoder
	depth   int
	report  pipeline.TestReport
}

func (p *junit) document() error {
	seen := false
	for {
		token, err := p.decoder.Token()
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
		if name := start.Name.Local; name != "testsuites" && name != "testsuite" {
			return fmt.Errorf("the outermost element is <%s>, a JUnit file has <testsuites> or <testsuite>", name)
		}
		seen = true
		if err := p.suite(start, ""); err != nil {
			return err
		}
	}
}

// children calls visit for each child element; visit must consume it.
func (p *junit) children(visit func(xml.StartElement) error) error {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > deepest {
		return fmt.Errorf("elements nest deeper than %d", deepest)
	}
	for {
		token, err := p.decoder.Token()
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

func (p *junit) suite(start xml.StartElement, outer string) error {
	name := attribute(start, "name")
	if name == "" {
		name = outer
	}
	return p.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "testsuite", "testsuites":
			return p.suite(child, name)
		case "testcase":
			return p.testcase(child, name)
		case "error", "failure":
			// A suite that could not be loaded: no test case stands for it.
			message, err := p.message(child)
			p.fail(pipeline.TestFailed{Suite: outer, Name: name, Message: message})
			return err
		}
		return p.skip()
	})
}

func (p *junit) testcase(start xml.StartElement, suite string) error {
	failed, message := false, ""
	status := attribute(start, "status")
	skipped := status == "notrun" || status == "disabled" || status == "skipped"
	err := p.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "failure", "error":
			text, err := p.message(child)
			if !failed {
				message = text
			}
			failed = true
			return err
		case "skipped":
			skipped = true
		}
		return p.skip()
	})
	switch {
	case failed:
		p.fail(pipeline.TestFailed{
			Suite:   suiteOf(attribute(start, "classname"), suite),
			Name:    attribute(start, "name"),
			Message: message,
		})
	case skipped:
		p.report.Skipped++
	default:
		p.report.Passed++
	}
	return err
}

// suiteOf names the group of a test. Most writers put the class there and a
// general word on the suite; go-junit-report cuts the class down to the last
// element of the package, which the suite names whole.
func suiteOf(class, suite string) string {
	if class == "" || strings.HasSuffix(suite, "/"+class) {
		return suite
	}
	return class
}

func (p *junit) fail(t pipeline.TestFailed) {
	p.report.Failed++
	if len(p.report.Failures) < mostFailures {
		p.report.Failures = append(p.report.Failures, t)
	}
}

// message reads a failure: its attribute, then its text unless that only
// repeats the attribute.
func (p *junit) message(start xml.StartElement) (string, error) {
	var text strings.Builder
	depth := 1
	for depth > 0 {
		token, err := p.decoder.Token()
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
	head, body := strings.TrimSpace(attribute(start, "message")), strings.TrimSpace(text.String())
	switch {
	case head == "" || strings.HasPrefix(body, head):
		head = body
	case body != "":
		head += "\n" + body
	}
	if head == "" {
		head = attribute(start, "type")
	}
	return shorten(head, longestMessage), nil
}

// skip reads past the element whose start tag was just read. Unlike the
// decoder's own Skip it bounds how deep that goes.
func (p *junit) skip() error {
	return p.children(func(xml.StartElement) error { return p.skip() })
}

func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return shorten(a.Value, longestMessage)
		}
	}
	return ""
}

// shorten cuts s to at most n bytes, between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// controls are references to characters below space, which XML forbids but for
// tab, line feed and carriage return.
var controls = regexp.MustCompile(`&#(?:x0*(?:1?[0-9a-fA-F])|0*(?:[12]?[0-9]|3[01]));`)

// other are the names of encodings in which UTF-8's rules say nothing.
var other = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*(?:8859-1|latin1|windows-1252)`)

// clean replaces what XML forbids and test runners write all the same: the
// control characters of coloured output, and broken UTF-8.
func clean(text []byte) []byte {
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
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return strings.NewReader(string(runes)), nil
}
