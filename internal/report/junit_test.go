package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
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
			f, err := os.Open(filepath.Join("testdata", file+".xml"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got pipeline.TestReport
			if err := report.ReadJUnit(f, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
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
			got := pipeline.TestReport{Passed: 7}
			err := report.ReadJUnit(strings.NewReader(c.text), &got)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if diff := cmp.Diff(pipeline.TestReport{Passed: 7}, got); diff != "" {
				t.Error("the report changed (-want +got)\n", diff)
			}
		})
	}
}

func TestReadJUnitKeepsAtMostAHundredFailures(t *testing.T) {
	t.Parallel()
	one := "<testcase name='a'><failure message='" + strings.Repeat("é", 3000) + "'/></testcase>"
	var got pipeline.TestReport
	for range 2 {
		if err := report.ReadJUnit(strings.NewReader("<testsuite>"+strings.Repeat(one, 80)+"</testsuite>"), &got); err != nil {
			t.Fatal(err)
		}
	}
	if got.Failed != 160 || len(got.Failures) != 100 {
		t.Errorf("counted %d and kept %d, want 160 and 100", got.Failed, len(got.Failures))
	}
	if n := len(got.Failures[0].Message); n > 2010 {
		t.Errorf("kept a message of %d bytes", n)
	}
}

func TestReadJUnitDecodesLatin1(t *testing.T) {
	t.Parallel()
	var got pipeline.TestReport
	text := "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase name='caf\xe9'><failure/></testcase></testsuite>"
	if err := report.ReadJUnit(strings.NewReader(text), &got); err != nil {
		t.Fatal(err)
	}
	want := pipeline.TestReport{Failed: 1, Failures: []pipeline.TestFailed{{Suite: "s", Name: "café"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func FuzzReadJUnit(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got pipeline.TestReport
		if err := report.ReadJUnit(strings.NewReader(string(text)), &got); err != nil {
			if diff := cmp.Diff(pipeline.TestReport{}, got); diff != "" {
				t.Error("an error and a report (-want +got)\n", diff)
			}
		}
		if len(got.Failures) > got.Failed || got.Failed > 0 && len(got.Failures) == 0 {
			t.Errorf("counted %d failures and listed %d", got.Failed, len(got.Failures))
		}
	})
}
