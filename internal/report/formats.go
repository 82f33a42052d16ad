package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// largestTests bounds one file of test results in memory. Such a file is
	// read whole: what runners write is not always XML, and is mended first.
	largestTests = 32 << 20
	// largestCoverage bounds one file of coverage, which is read as it comes.
	largestCoverage = 64 << 20
)

// format is how the files of one format are read.
type format struct {
	largest int64 // bytes of one file
	read    func(io.Reader, *found) error
}

// formats are CodeBuild's, by the names that a buildspec gives them.
var formats = map[string]format{
	"JUNITXML":        {largestTests, mended(readJUnit)},
	"NUNITXML":        {largestTests, mended(readNUnit)},
	"NUNIT3XML":       {largestTests, mended(readNUnit3)},
	"TESTNGXML":       {largestTests, mended(readTestNG)},
	"VISUALSTUDIOTRX": {largestTests, mended(readTRX)},
	"CUCUMBERJSON":    {largestTests, readCucumber},
	"CLOVERXML":       {largestCoverage, streamed(readClover)},
	"COBERTURAXML":    {largestCoverage, streamed(readCobertura)},
	"JACOCOXML":       {largestCoverage, streamed(readJaCoCo)},
	"SIMPLECOV":       {largestTests, readSimpleCov},
}

// Formats are the names of the formats that can be read, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Results gathers what the files of one report say. It is not safe for
// concurrent use.
type Results struct {
	format format
	found  found
}

// NewResults begins a report of that name, whose files have one of Formats.
func NewResults(name, form string) (*Results, error) {
	f, ok := formats[form]
	if !ok {
		return nil, fmt.Errorf("there is no report format %q; there are %s", form, strings.Join(Formats(), ", "))
	}
	return &Results{format: f, found: found{Report: pipeline.Report{Name: name, Format: form}}}, nil
}

// Read adds what one file says. A file that is too large, or not of the format,
// is an error, and nothing of it is added.
func (r *Results) Read(file io.Reader) error {
	in := &limited{from: file, left: r.format.largest, most: r.format.largest}
	var one found
	err := r.format.read(in, &one)
	if in.err != nil {
		err = in.err // what the reader says of an end that is none misleads
	}
	if err != nil {
		return fmt.Errorf("read %s file: %w", r.found.Format, err)
	}
	r.found.merge(one)
	return nil
}

// Report is what all files said.
func (r *Results) Report() pipeline.Report { return r.found.Report }

// limited ends a file that is too large with an error. Unlike io.LimitReader it
// does not make a whole file of the beginning of one.
type limited struct {
	from io.Reader
	left int64
	most int64
	err  error // once there was more
}

var _ io.Reader = (*limited)(nil)

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := l.from.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		l.err = fmt.Errorf("it is larger than %d MB", l.most>>20)
		return n - 1, io.ErrUnexpectedEOF
	}
	return n, err
}
