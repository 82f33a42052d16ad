package report

import (
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// readTRX reads what Visual Studio and dotnet test write. The results come
// before the definitions, which know the classes.
func readTRX(d *document, into *found) error {
	t := trx{document: d, classes: map[string]string{}}
	err := d.outermost(func(xml.StartElement) error {
		return d.children(func(child xml.StartElement) error {
			switch child.Name.Local {
			case "Results":
				return t.within()
			case "TestDefinitions":
				return d.children(t.definition)
			}
			return d.skip()
		})
	}, "TestRun")
	for _, r := range t.results {
		r.test.Suite = t.classes[r.id]
		// Names of tests begin with their class where the adapter says so.
		if name, ok := strings.CutPrefix(r.test.Name, r.test.Suite+"."); ok && r.test.Suite != "" {
			r.test.Name = name
		}
		into.test(r.test)
	}
	return err
}

type trx struct {
	*document
	results []trxResult
	classes map[string]string // by ID of the test
}

type trxResult struct {
	id   string
	test pipeline.TestCase
}

// within reads the results in an element.
func (t *trx) within() error {
	return t.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "UnitTestResult", "TestResult", "GenericTestResult":
			return t.result(child)
		}
		return t.skip()
	})
}

func (t *trx) result(start xml.StartElement) error {
	r := trxResult{id: attribute(start, "testId"), test: pipeline.TestCase{
		Name: attribute(start, "testName"), Status: trxStatus(attribute(start, "outcome")), Seconds: clock(attribute(start, "duration")),
	}}
	var message, trace string
	before := len(t.results)
	err := t.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "InnerResults": // a row of data each
			return t.within()
		case "Output":
			return t.children(func(child xml.StartElement) error {
				if child.Name.Local != "ErrorInfo" {
					return t.skip()
				}
				return t.texts(map[string]*string{"Message": &message, "StackTrace": &trace})
			})
		}
		return t.skip()
	})
	if r.test.Status == pipeline.TestFailing {
		r.test.Message = explain(message, trace)
	}
	if err == nil && len(t.results) == before {
		t.results = append(t.results, r)
	}
	return err
}

// trxStatus reads an outcome. Where there is none, its default is Error.
func trxStatus(outcome string) pipeline.TestStatus {
	switch outcome {
	case "Passed", "Warning", "Completed", "PassedButRunAborted":
		return pipeline.TestPassed
	case "NotExecuted", "Inconclusive", "NotRunnable", "Pending", "InProgress":
		return pipeline.TestSkipped
	}
	return pipeline.TestFailing // Failed, Error, Timeout, Aborted, Disconnected
}

func (t *trx) definition(start xml.StartElement) error {
	id := attribute(start, "id")
	return t.children(func(child xml.StartElement) error {
		if child.Name.Local == "TestMethod" {
			// An assembly's name may follow the class.
			class, _, _ := strings.Cut(attribute(child, "className"), ",")
			t.classes[id] = class
		}
		return t.skip()
	})
}

// clock reads a duration such as 00:01:02.5, or 1.00:00:00 with days.
func clock(text string) float64 {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return 0
	}
	days, hours, found := strings.Cut(parts[0], ".")
	if !found {
		days, hours = "0", parts[0]
	}
	d, err1 := strconv.Atoi(days)
	h, err2 := strconv.Atoi(hours)
	m, err3 := strconv.Atoi(parts[1])
	s, err4 := strconv.ParseFloat(parts[2], 64)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return 0
	}
	return float64(d)*86400 + float64(h)*3600 + float64(m)*60 + s
}
