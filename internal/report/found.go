package report

import (
	"math"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// longestMessage bounds what is kept of one failure, in bytes.
	longestMessage = 2000
	// longestName bounds the name of a test, of its suite and of a file.
	longestName = 500
	// mostCases is how many tests of a report are kept besides those that
	// failed, and how many files of its coverage; all are counted.
	mostCases = 20_000
	// mostFailing is how many tests that failed are kept.
	mostFailing = 1000
)

// found is what was found in files so far.
type found struct {
	pipeline.Report
	failing, others int // of Cases
}

// test counts a test.
func (f *found) test(c pipeline.TestCase) {
	switch c.Status {
	case pipeline.TestFailing:
		f.Failed++
	case pipeline.TestSkipped:
		f.Skipped++
	default:
		f.Passed++
	}
	if !(c.Seconds > 0) || math.IsInf(c.Seconds, 0) { // also when it is no number
		c.Seconds = 0
	}
	f.Seconds += c.Seconds
	c.Suite, c.Name, c.Message = shorten(c.Suite, longestName), shorten(c.Name, longestName), shorten(c.Message, longestMessage)
	f.keep(c)
}

func (f *found) keep(c pipeline.TestCase) {
	switch {
	case c.Status == pipeline.TestFailing && f.failing < mostFailing:
		f.failing++
	case c.Status != pipeline.TestFailing && f.others < mostCases:
		f.others++
	default:
		return
	}
	f.Cases = append(f.Cases, c)
}

// cover counts the lines of a file. One without lines says nothing.
func (f *found) cover(file pipeline.CoveredFile) {
	if f.Coverage == nil {
		f.Coverage = &pipeline.Coverage{}
	}
	if file.Lines == 0 && file.Branches == 0 {
		return
	}
	f.Coverage.Add(file.Coverage)
	if len(f.Files) < mostCases {
		file.Path = shorten(file.Path, longestName)
		f.Files = append(f.Files, file)
	}
}

func (f *found) merge(one found) {
	f.Passed += one.Passed
	f.Failed += one.Failed
	f.Skipped += one.Skipped
	f.Seconds += one.Seconds
	for _, c := range one.Cases {
		f.keep(c)
	}
	if one.Coverage == nil {
		return
	}
	if f.Coverage == nil {
		f.Coverage = &pipeline.Coverage{}
	}
	f.Coverage.Add(*one.Coverage)
	room := max(0, mostCases-len(f.Files))
	f.Files = append(f.Files, one.Files[:min(room, len(one.Files))]...)
}

// shorten cuts s to at most n bytes, between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// explain joins what a failure says in short and what it says at length, unless
// that only repeats it.
func explain(short, long string) string {
	short, long = strings.TrimSpace(short), strings.TrimSpace(long)
	switch {
	case short == "" || strings.HasPrefix(long, short):
		return long
	case long == "":
		return short
	}
	return short + "\n" + long
}

// splitName takes the name of a test apart that begins with its class:
// Acme.Web.GreeterTests.Greets("a.b").
func splitName(full string) (suite, name string) {
	before, _, _ := strings.Cut(full, "(")
	if i := strings.LastIndexByte(before, '.'); i >= 0 {
		return full[:i], full[i+1:]
	}
	return "", full
}
