package report

import (
	"cmp"
	"encoding/xml"

	"github.com/towline/towline/internal/pipeline"
)

// readTestNG reads testng-results.xml. Methods that only prepare tests count
// when they failed.
func readTestNG(d *document, into *found) error {
	t := testng{document: d, into: into}
	return d.outermost(func(xml.StartElement) error { return t.within("") }, "testng-results")
}

type testng struct {
	*document
	into *found
}

// within reads suites, tests and classes.
func (t testng) within(class string) error {
	return t.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "suite", "test":
			return t.within(class)
		case "class":
			return t.within(attribute(child, "name"))
		case "test-method":
			return t.method(child, class)
		}
		return t.skip()
	})
}

func (t testng) method(start xml.StartElement, class string) error {
	test := pipeline.TestCase{
		Suite: class, Name: attribute(start, "name"), Status: pipeline.TestPassed, Seconds: seconds(attribute(start, "duration-ms")) / 1000,
	}
	var kind, message, trace string
	err := t.children(func(child xml.StartElement) error {
		if child.Name.Local != "exception" {
			return t.skip()
		}
		kind = attribute(child, "class")
		return t.texts(map[string]*string{"message": &message, "full-stacktrace": &trace, "short-stacktrace": &trace})
	})
	switch attribute(start, "status") {
	case "FAIL":
		test.Status, test.Message = pipeline.TestFailing, cmp.Or(explain(message, trace), kind)
	case "SKIP":
		test.Status = pipeline.TestSkipped
	}
	prepares := attribute(start, "is-config") == "true"
	if err == nil && (!prepares || test.Status == pipeline.TestFailing) {
		t.into.test(test)
	}
	return err
}
