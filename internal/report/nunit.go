package report

import (
	"encoding/xml"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// readNUnit reads what NUnit 2 writes: test cases at any depth of suites.
func readNUnit(d *document, into *found) error {
	var suite func(xml.StartElement) error
	suite = func(xml.StartElement) error {
		return d.children(func(child xml.StartElement) error {
			switch child.Name.Local {
			case "test-suite", "results":
				return suite(child)
			case "test-case":
				return nunitCase(d, child, into)
			}
			return d.skip()
		})
	}
	return d.outermost(suite, "test-results")
}

func nunitCase(d *document, start xml.StartElement, into *found) error {
	test := pipeline.TestCase{Status: nunitStatus(start), Seconds: seconds(attribute(start, "time"))}
	test.Suite, test.Name = splitName(attribute(start, "name"))
	var err error
	if test.Message, err = nunitMessage(d); err != nil {
		return err
	}
	if test.Status != pipeline.TestFailing {
		test.Message = ""
	}
	into.test(test)
	return nil
}

// nunitStatus reads the result, or what stood in its place before NUnit 2.5.
func nunitStatus(start xml.StartElement) pipeline.TestStatus {
	switch result := attribute(start, "result"); {
	case result == "Success":
		return pipeline.TestPassed
	case result == "Failure" || result == "Error" || result == "Cancelled":
		return pipeline.TestFailing
	case result != "" || strings.EqualFold(attribute(start, "executed"), "false"):
		return pipeline.TestSkipped // Ignored, Skipped, Inconclusive, NotRunnable
	case strings.EqualFold(attribute(start, "success"), "false"):
		return pipeline.TestFailing
	}
	return pipeline.TestPassed
}

// nunitMessage is what the failure in a test case says, in NUnit 2 and 3.
func nunitMessage(d *document) (string, error) {
	var message, trace string
	err := d.children(func(child xml.StartElement) error {
		if child.Name.Local != "failure" {
			return d.skip()
		}
		return d.texts(map[string]*string{"message": &message, "stack-trace": &trace})
	})
	return explain(message, trace), err
}
