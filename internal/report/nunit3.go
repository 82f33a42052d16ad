package report

import (
	"cmp"
	"encoding/xml"

	"github.com/towline/towline/internal/pipeline"
)

// readNUnit3 reads what NUnit 3 and later write: test cases at any depth of
// suites. A suite that failed by itself, as by its set-up, counts as a test
// that failed when no test in it tells of that.
func readNUnit3(d *document, into *found) error {
	n := nunit3{document: d, into: into}
	return d.outermost(n.suite, "test-run", "test-suite")
}

type nunit3 struct {
	*document
	into *found
}

func (n nunit3) suite(start xml.StartElement) error {
	var message, trace string
	failed := n.into.Failed
	err := n.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "test-suite":
			return n.suite(child)
		case "test-case":
			return n.testcase(child)
		case "failure":
			return n.texts(map[string]*string{"message": &message, "stack-trace": &trace})
		}
		return n.skip()
	})
	// site says where it failed: in itself, or in a test below.
	if site := attribute(start, "site"); err == nil && n.into.Failed == failed && (site == "SetUp" || site == "TearDown" || site == "Test") {
		n.into.test(pipeline.TestCase{
			Suite: cmp.Or(attribute(start, "fullname"), attribute(start, "name")), Name: "[" + site + "]",
			Status: pipeline.TestFailing, Message: explain(message, trace),
		})
	}
	return err
}

func (n nunit3) testcase(start xml.StartElement) error {
	test := pipeline.TestCase{
		Suite: attribute(start, "classname"), Name: attribute(start, "name"),
		Status: pipeline.TestSkipped, // Skipped, Inconclusive
		// Warning is a success about which there is something to say.
		Seconds: seconds(cmp.Or(attribute(start, "duration"), attribute(start, "time"))),
	}
	if test.Suite == "" {
		test.Suite, _ = splitName(attribute(start, "fullname"))
	}
	message, err := nunitMessage(n.document)
	switch attribute(start, "result") {
	case "Passed", "Warning":
		test.Status = pipeline.TestPassed
	case "Failed":
		test.Status, test.Message = pipeline.TestFailing, message
	}
	if err == nil {
		n.into.test(test)
	}
	return err
}
