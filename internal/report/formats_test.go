package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

func newResults(t testing.TB, format string) *report.Results {
	t.Helper()
	results, err := report.NewResults("tests", format)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func readFile(t testing.TB, format, name string) pipeline.Report {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results := newResults(t, format)
	if err := results.Read(f); err != nil {
		t.Fatal(err)
	}
	return results.Report()
}

func TestEachFormatOfABuildspecCanBeRead(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(buildspec.ReportFormats()))
	if diff := cmp.Diff(want, report.Formats()); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if _, err := report.NewResults("a", "TAP"); err == nil || !strings.Contains(err.Error(), "JUNITXML") {
		t.Errorf("a format that there is not: %v", err)
	}
}

const (
	passed  = pipeline.TestPassed
	failing = pipeline.TestFailing
	skipped = pipeline.TestSkipped
)

func TestReadTests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, file string
		want         pipeline.Report
	}{
		{"NUNITXML", "nunit.xml", pipeline.Report{Passed: 1, Failed: 2, Skipped: 2, Seconds: 1000.547, Cases: []pipeline.TestCase{
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInEnglish", Status: passed, Seconds: 0.016},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInFrench", Status: failing, Seconds: 0.031, Message: "Expected: \"Bonjour\"\n  But was:  \"Hello\"\nat Acme.Web.GreeterTests.GreetsInFrench () [0x00000] in GreeterTests.cs:21"},
			{Suite: "Acme.Web.GreeterTests", Name: `Greets("a.b")`, Status: failing, Seconds: 1000.5, Message: "System.NullReferenceException : Object reference not set"},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInKlingon", Status: skipped},
			{Suite: "Acme.Web.GreeterTests", Name: "Waits", Status: skipped},
		}}},
		{"NUNIT3XML", "nunit3.xml", pipeline.Report{Passed: 1, Failed: 2, Skipped: 1, Seconds: 0.271, Cases: []pipeline.TestCase{
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInEnglish", Status: passed, Seconds: 0.021},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInFrench", Status: failing, Seconds: 0.25, Message: "String lengths are both 5. Strings differ at index 0.\n  Expected: \"Salut\"\n  But was:  \"Hello\"\nat Acme.Web.GreeterTests.GreetsInFrench() in /src/GreeterTests.cs:line 21"},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInKlingon", Status: skipped},
			{Suite: "Acme.Web.DatabaseTests", Name: "[SetUp]", Status: failing, Message: "OneTimeSetUp: Npgsql.NpgsqlException : Connection refused\nat Acme.Web.DatabaseTests.Connect()"},
		}}},
		{"TESTNGXML", "testng.xml", pipeline.Report{Passed: 1, Failed: 2, Skipped: 1, Seconds: 0.292, Cases: []pipeline.TestCase{
			{Suite: "com.acme.GreeterTest", Name: "english", Status: passed, Seconds: 0.012},
			{Suite: "com.acme.GreeterTest", Name: "french", Status: failing, Seconds: 0.25, Message: "expected [Bonjour] but found [Hello]\njava.lang.AssertionError: expected [Bonjour] but found [Hello]\n\tat com.acme.GreeterTest.french(GreeterTest.java:21)"},
			{Suite: "com.acme.GreeterTest", Name: "klingon", Status: skipped},
			{Suite: "com.acme.DatabaseTest", Name: "connect", Status: failing, Seconds: 0.03, Message: "java.sql.SQLException\n\tat com.acme.DatabaseTest.connect(DatabaseTest.java:9)"},
		}}},
		{"VISUALSTUDIOTRX", "visualstudio.trx", pipeline.Report{Passed: 2, Failed: 2, Skipped: 1, Seconds: 60.812, Cases: []pipeline.TestCase{
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInEnglish", Status: passed, Seconds: 0.012},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInFrench", Status: failing, Seconds: 60.5, Message: "Assert.Equal() Failure: expected Bonjour, got Hello\nat Acme.Web.GreeterTests.GreetsInFrench() in /src/GreeterTests.cs:line 21"},
			{Suite: "Acme.Web.GreeterTests", Name: "GreetsInKlingon", Status: skipped},
			{Suite: "Acme.Web.GreeterTests", Name: "Greets (Data Row 0)", Status: passed, Seconds: 0.1},
			{Suite: "Acme.Web.GreeterTests", Name: "Greets (Data Row 1)", Status: failing, Seconds: 0.2, Message: "boom"},
		}}},
		{"CUCUMBERJSON", "cucumber.json", pipeline.Report{Passed: 2, Failed: 2, Skipped: 1, Seconds: 0.516, Cases: []pipeline.TestCase{
			{Suite: "Greeting", Name: "English", Status: passed, Seconds: 0.015},
			{Suite: "Greeting", Name: "French", Status: failing, Seconds: 0.251, Message: "When I greet in French: failed\nexpected: \"Bonjour\"\n     got: \"Hello\" (RSpec::Expectations::ExpectationNotMetError)\n./features/steps.rb:9:in `/^I greet in French$/'"},
			{Suite: "Greeting", Name: "Klingon", Status: failing, Message: "When I greet in Klingon: undefined"},
			{Suite: "Greeting", Name: "Later", Status: skipped},
			{Suite: "features/empty.feature", Name: "In seconds", Status: passed, Seconds: 0.25},
		}}},
	} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			c.want.Name, c.want.Format = "tests", c.format
			if diff := cmp.Diff(c.want, readFile(t, c.format, c.file), nearly); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

// nearly lets sums of seconds differ in their last digits.
var nearly = cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })

func TestReadCoverage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, file string
		total        pipeline.Coverage
		files        []pipeline.CoveredFile
	}{
		{
			"CLOVERXML", "clover.xml", pipeline.Coverage{Lines: 6, LinesCovered: 4, Branches: 4, BranchesCovered: 3},
			[]pipeline.CoveredFile{
				{Path: "/src/src/greet.js", Coverage: pipeline.Coverage{Lines: 4, LinesCovered: 3, Branches: 4, BranchesCovered: 3}},
				{Path: "/src/Bare.php", Coverage: pipeline.Coverage{Lines: 2, LinesCovered: 1}},
			},
		},
		{
			"COBERTURAXML", "cobertura.xml", pipeline.Coverage{Lines: 6, LinesCovered: 4, Branches: 4, BranchesCovered: 2},
			[]pipeline.CoveredFile{
				{Path: "web/greet.py", Coverage: pipeline.Coverage{Lines: 5, LinesCovered: 4, Branches: 4, BranchesCovered: 2}},
				{Path: "web/db.py", Coverage: pipeline.Coverage{Lines: 1}},
			},
		},
		{
			"JACOCOXML", "jacoco.xml", pipeline.Coverage{Lines: 8, LinesCovered: 4, Branches: 4, BranchesCovered: 3},
			[]pipeline.CoveredFile{
				{Path: "com/acme/Greeter.java", Coverage: pipeline.Coverage{Lines: 5, LinesCovered: 4, Branches: 4, BranchesCovered: 3}},
				{Path: "com/acme/db/Db.java", Coverage: pipeline.Coverage{Lines: 3}},
			},
		},
		{
			"SIMPLECOV", "simplecov.json", pipeline.Coverage{Lines: 6, LinesCovered: 5, Branches: 2, BranchesCovered: 2},
			[]pipeline.CoveredFile{
				{Path: "/src/lib/greet.rb", Coverage: pipeline.Coverage{Lines: 4, LinesCovered: 4, Branches: 2, BranchesCovered: 2}},
				{Path: "/src/lib/old.rb", Coverage: pipeline.Coverage{Lines: 2, LinesCovered: 1}},
			},
		},
		{
			"SIMPLECOV", "simplecov-formatter.json", pipeline.Coverage{Lines: 2, LinesCovered: 1, Branches: 2, BranchesCovered: 1},
			[]pipeline.CoveredFile{{Path: "/src/lib/greet.rb", Coverage: pipeline.Coverage{Lines: 2, LinesCovered: 1, Branches: 2, BranchesCovered: 1}}},
		},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			want := pipeline.Report{Name: "tests", Format: c.format, Coverage: &c.total, Files: c.files}
			if diff := cmp.Diff(want, readFile(t, c.format, c.file)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestReadRefusesWhatIsNotOfTheFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ format, text, want string }{
		"a JUnit file as TestNG":            {"TESTNGXML", "<testsuite/>", "has <testng-results>"},
		"a Cobertura file as JaCoCo":        {"JACOCOXML", "<coverage/>", "has <report>"},
		"an object as a list of features":   {"CUCUMBERJSON", "{}", "not a list of features"},
		"a list that ends too early":        {"CUCUMBERJSON", `[{"name": "a"`, "ends too early"},
		"features that are none":            {"CUCUMBERJSON", `[{"elements": 3}]`, "feature 1"},
		"a SimpleCov file without coverage": {"SIMPLECOV", `{"a": {}}`, "it has no coverage"},
		"lines that are none":               {"SIMPLECOV", `{"a": {"coverage": {"b.rb": {"lines": {}}}}}`, "not a list"},
		"a file without end":                {"JACOCOXML", "<report>" + strings.Repeat(" ", 64<<20), "larger than 64 MB"},
		"JSON without end":                  {"SIMPLECOV", strings.Repeat(" ", 33<<20), "larger than 32 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newResults(t, c.format).Read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.format) {
				t.Errorf("got error %v, want one with %q and %s", err, c.want, c.format)
			}
		})
	}
}

// fuzz reads anything as a file of one format.
func fuzz(f *testing.F, format string, seeds ...string) {
	for _, seed := range seeds {
		files, err := filepath.Glob(filepath.Join("testdata", seed))
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
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		results := newResults(t, format)
		err := results.Read(bytes.NewReader(text))
		got := results.Report()
		if err != nil {
			if diff := cmp.Diff(pipeline.Report{Name: "tests", Format: format}, got); diff != "" {
				t.Error("an error and a report (-want +got)\n", diff)
			}
			return
		}
		if len(got.Cases) > got.Passed+got.Failed+got.Skipped || got.Failed > 0 && len(got.Cases) == 0 || got.Seconds < 0 {
			t.Errorf("counted %d, %d, %d in %gs and kept %d", got.Passed, got.Failed, got.Skipped, got.Seconds, len(got.Cases))
		}
		var files pipeline.Coverage
		for _, file := range got.Files {
			files.Add(file.Coverage)
		}
		if c := got.Coverage; c != nil && (*c != files || c.LinesCovered > c.Lines || c.BranchesCovered > c.Branches || c.Branches < 0) {
			t.Errorf("coverage %+v of files with %+v", *c, files)
		}
	})
}

func FuzzReadJUnit(f *testing.F) {
	fuzz(f, "JUNITXML", "surefire*.xml", "pytest.xml", "jest.xml", "go*.xml")
}
func FuzzReadNUnit(f *testing.F)     { fuzz(f, "NUNITXML", "nunit.xml") }
func FuzzReadNUnit3(f *testing.F)    { fuzz(f, "NUNIT3XML", "nunit3.xml") }
func FuzzReadTestNG(f *testing.F)    { fuzz(f, "TESTNGXML", "testng.xml") }
func FuzzReadTRX(f *testing.F)       { fuzz(f, "VISUALSTUDIOTRX", "*.trx") }
func FuzzReadCucumber(f *testing.F)  { fuzz(f, "CUCUMBERJSON", "cucumber.json") }
func FuzzReadClover(f *testing.F)    { fuzz(f, "CLOVERXML", "clover.xml") }
func FuzzReadCobertura(f *testing.F) { fuzz(f, "COBERTURAXML", "cobertura.xml") }
func FuzzReadJaCoCo(f *testing.F)    { fuzz(f, "JACOCOXML", "jacoco.xml") }
func FuzzReadSimpleCov(f *testing.F) { fuzz(f, "SIMPLECOV", "simplecov*.json") }
