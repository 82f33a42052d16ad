// Package report holds what a person reads about an execution: the log of each
// action, line by line with the time, and the tests and the coverage that the
// files of a build's reports tell of, in any of CodeBuild's formats. Actions and
// the processes they start write here; the server and the command line read. It
// knows nothing of who writes or who reads, and of a build no more than these
// files say.
package report

import "time"

// layout is the time at the head of each log line: UTC, milliseconds, always
// the same number of bytes.
const layout = "2006-01-02T15:04:05.000Z"

// Stamp is one line of a log file: the time in UTC to the millisecond, a space,
// the text and a newline.
func Stamp(t time.Time, text string) string {
	return t.UTC().Format(layout) + " " + text + "\n"
}

// Line is one line read from a log file.
type Line struct {
	// Offset is where the next line begins, in bytes from the start of the
	// file: the place to go on from after a broken connection.
	Offset int64
	// Time is zero when the line carries no stamp.
	Time time.Time
	Text string // without stamp and newline
}

// parseLine takes raw apart, a line of a log file without its newline.
func parseLine(raw []byte, next int64) Line {
	if len(raw) > len(layout) && raw[len(layout)] == ' ' {
		if t, err := time.Parse(layout, string(raw[:len(layout)])); err == nil {
			return Line{Offset: next, Time: t, Text: string(raw[len(layout)+1:])}
		}
	}
	return Line{Offset: next, Text: string(raw)}
}
