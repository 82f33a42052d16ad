package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/internal/pipeline"
)

func TestReadJUnitOfEachRunner(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]pipeline.TestReport{
		"surefire": {Passed: 2, Failed: 2, Skipped: 1, Failures: []pipeline.TestFailed{
			{Suite: "com.acme.GreetingTest", Name: "greetsInFrench", Message: "expected: <Bonjour> but was: <Hello>\norg.opentest4j.AssertionFailedError: expected: <Bonjour> but was: <Hello>\n\tat com.acme.GreetingTest.greetsInFrench(GreetingTest.java:17)"},
			{Suite: "com.acme.GreetingTest", Name: "readsDatabase", Message: "Connection refused\njava.sql.SQLException: Connection refused"},
		}},
		"go-junit-report": {Passed: 1, Failed: 2, Skipped: 1, Failures: []pipeline.TestFailed{
			{Suite: "github.com/acme/web", Name: "TestGreet/in_French", Message: "Failed\ngreet_test.go:12: got Hello, want Bonjour"},
			{Suite: "github.com/acme/web/db", Name: "[build failed]", Message: "Build error\ndb/db.go:3:1: syntax error"},
		}},
		"gotestsum": {Passed: 1, Failed: 1, Failures: []pipeline.TestFailed{
			{Suite: "github.com/acme/web", Name: "TestB", Message: "Failed\n=== RUN   TestB\n    b_test.go:9: no\n--- FAIL: TestB (0.00s)"},
		}},
		"pytest": {Passed: 1, Failed: 2, Skipped: 1, Failures: []pipeline.TestFailed{
			{Suite: "tests.test_app", Name: "test_bad[1-2]", Message: "assert 1 == 2\ndef test_bad():\n>       assert 1 == 2\nE       assert 1 == 2\n\ntests/test_app.py:5: AssertionError"},
			{Suite: "tests.test_app", Name: "test_db", Message: "failed on setup with \"OSError\"\nboom"},
		}},
		"jest": {Passed: 1, Failed: 2, Failures: []pipeline.TestFailed{
			{Suite: "Greeting says bonjour", Name: "Greeting says bonjour", Message: "Error: expect(received).toBe(expected) [39m\n\nExpected: \"Bonjour\""},
			{Suite: "jest tests", Name: "broken.test.js", Message: "Unexpected token"},
		}},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got := pipeline.Summarize([]pipeline.Report{readFile(t, "JUNITXML", file+".xml")})
			if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(pipeline.TestReport{}, "Seconds")); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestReadJUnitRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"an empty file":                {"", "no XML element"},
		"a web page":                   {"<html></html>", "outermost element is <html>"},
		"a file that ends too early":   {"<testsuite><testcase name='a'>", "unexpected EOF"},
		"a file without end":           {"<testsuite>" + strings.Repeat(" ", 32<<20), "larger than 32 MB"},
		"elements nested without end":  {strings.Repeat("<testsuite>", 200), "nest deeper"},
		"skipped elements nested deep": {"<testsuite>" + strings.Repeat("<x>", 200), "nest deeper"},
		"an encoding it cannot read":   {`<?xml version="1.0" encoding="EBCDIC"?><testsuite/>`, "write UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := newResults(t, "JUNITXML")
			if err := results.Read(strings.NewReader("<testsuite><testcase name='b'/></testsuite>")); err != nil {
				t.Fatal(err)
			}
			before := results.Report()
			err := results.Read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if diff := cmp.Diff(before, results.Report()); diff != "" {
				t.Error("the report changed (-want +got)\n", diff)
			}
		})
	}
}

func TestReadJUnitTellsFlakyTestsFromFailedOnes(t *testing.T) {
	t.Parallel()
	want := pipeline.Report{
		Name: "tests", Format: "JUNITXML", Passed: 1, Failed: 1, Seconds: 1204.5,
		Cases: []pipeline.TestCase{
			{Suite: "com.acme.ClockTest", Name: "ticks", Status: pipeline.TestPassed, Seconds: 1.5, Flaky: true, Message: "expected: <2> but was: <1>\norg.opentest4j.AssertionFailedError: expected: <2> but was: <1>"},
			{Suite: "com.acme.ClockTest", Name: "stops", Status: pipeline.TestFailing, Seconds: 1203, Message: "it went on"},
		},
	}
	if diff := cmp.Diff(want, readFile(t, "JUNITXML", "surefire-rerun.xml")); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	one := "<testcase name='a'><failure message='" + strings.Repeat("é", 3000) + "'/></testcase>"
	passed := "<testcase name='" + strings.Repeat("n", 3000) + "'/>"
	results := newResults(t, "JUNITXML")
	for range 2 {
		text := "<testsuite>" + strings.Repeat(one, 600) + strings.Repeat(passed, 50) + "</testsuite>"
		if err := results.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	got := results.Report()
	if got.Failed != 1200 || got.Passed != 100 || len(got.Cases) != 1100 {
		t.Errorf("counted %d and %d and kept %d, want 1200 and 100 and 1100", got.Failed, got.Passed, len(got.Cases))
	}
	if m, n := len(got.Cases[0].Message), len(got.Cases[600].Name); m > 2010 || n > 510 {
		t.Errorf("kept a message of %d bytes and a name of %d", m, n)
	}
	if sum := pipeline.Summarize([]pipeline.Report{got}); len(sum.Failures) != 100 || sum.Failed != 1200 {
		t.Errorf("summarized %d failures of %d", len(sum.Failures), sum.Failed)
	}
}

func TestReadJUnitDecodesLatin1(t *testing.T) {
	t.Parallel()
	results := newResults(t, "JUNITXML")
	text := "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase name='caf\xe9'><failure/></testcase></testsuite>"
	if err := results.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	want := []pipeline.TestCase{{Suite: "s", Name: "café", Status: pipeline.TestFailing}}
	if diff := cmp.Diff(want, results.Report().Cases); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}
