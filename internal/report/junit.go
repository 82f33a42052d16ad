package report

import (
	"encoding/xml"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// readJUnit reads the forms of Surefire, pytest, go-junit-report, gotestsum,
// Jest and their like, suites nested as they may be. A test with a failure or
// an error has failed.
func readJUnit(d *document, into *found) error {
	j := junit{document: d, into: into}
	return d.outermost(func(start xml.StartElement) error { return j.suite(start, "") }, "testsuites", "testsuite")
}

type junit struct {
	*document
	into *found
}

func (j junit) suite(start xml.StartElement, outer string) error {
	name := attribute(start, "name")
	if name == "" {
		name = outer
	}
	return j.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "testsuite", "testsuites":
			return j.suite(child, name)
		case "testcase":
			return j.testcase(child, name)
		case "error", "failure":
			// A suite that could not be loaded: no test case stands for it.
			message, err := j.message(child)
			if err == nil {
				j.into.test(pipeline.TestCase{Suite: outer, Name: name, Status: pipeline.TestFailing, Message: message})
			}
			return err
		}
		return j.skip()
	})
}

func (j junit) testcase(start xml.StartElement, suite string) error {
	test := pipeline.TestCase{
		Suite: suiteOf(attribute(start, "classname"), suite), Name: attribute(start, "name"),
		Status: pipeline.TestPassed, Seconds: seconds(attribute(start, "time")),
	}
	switch attribute(start, "status") {
	case "notrun", "disabled", "skipped":
		test.Status = pipeline.TestSkipped
	}
	err := j.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "failure", "error":
			text, err := j.message(child)
			if test.Status != pipeline.TestFailing {
				test.Message = text
			}
			test.Status = pipeline.TestFailing
			return err
		case "flakyFailure", "flakyError": // Surefire: it passed the next time
			text, err := j.message(child)
			if test.Message == "" {
				test.Message = text
			}
			test.Flaky = true
			return err
		case "skipped":
			if test.Status == pipeline.TestPassed {
				test.Status = pipeline.TestSkipped
			}
		}
		return j.skip()
	})
	if err == nil {
		test.Flaky = test.Flaky && test.Status == pipeline.TestPassed
		j.into.test(test)
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

// message reads a failure: its attribute, then its text.
func (j junit) message(start xml.StartElement) (string, error) {
	text, err := j.text()
	if both := explain(attribute(start, "message"), text); both != "" {
		return both, err
	}
	return attribute(start, "type"), err
}
