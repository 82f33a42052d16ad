package function

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/towline/towline/internal/redact"
	"github.com/towline/towline/internal/report"
)

const (
	tailLines = 20
	tailLine  = 1000     // characters of a line that is kept of the tail
	mostLog   = 64 << 20 // bytes that one invocation may print
)

// output is what a function prints, on its way to the log files. It is safe for
// concurrent use.
type output struct {
	mu      sync.Mutex
	logs    []*report.Log
	secrets *redact.Secrets
	tail    []string
	partial []byte
	written int64
}

// openOutput opens the log files. What is secret never gets into them.
func openOutput(files []string, secrets ...string) (*output, error) {
	o := &output{secrets: redact.New(secrets...)}
	for _, file := range files {
		log, err := report.OpenLog(file)
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		o.logs = append(o.logs, log)
	}
	for _, secret := range secrets {
		for _, log := range o.logs {
			log.Hide(secret)
		}
	}
	return o, nil
}

// Write takes any part of the text. What is beyond the limit is dropped, so
// that a function cannot fill the disk by its words.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written > mostLog {
		return len(p), nil
	}
	o.written += int64(len(p))
	o.keep(p)
	for _, log := range o.logs {
		if _, err := log.Write(p); err != nil {
			return 0, err
		}
		if o.written > mostLog {
			if err := log.Printf("the function has printed more than %d MB; the rest is left out", mostLog>>20); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// keep remembers the last lines.
func (o *output) keep(p []byte) {
	o.partial = append(o.partial, p...)
	for {
		end := bytes.IndexByte(o.partial, '\n')
		if end < 0 {
			o.partial = o.partial[:min(len(o.partial), 64<<10)]
			return
		}
		o.keepLine(string(bytes.TrimSuffix(o.partial[:end], []byte{'\r'})))
		o.partial = o.partial[end+1:]
	}
}

func (o *output) keepLine(line string) {
	line = o.secrets.String(line)
	if len(line) > tailLine {
		line = line[:tailLine] + "..."
	}
	if o.tail = append(o.tail, line); len(o.tail) > tailLines {
		o.tail = slices.Delete(o.tail, 0, 1)
	}
}

// line writes a line of its own.
func (o *output) line(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, log := range o.logs {
		_ = log.Printf(format, args...)
	}
}

// last are the last lines that were printed.
func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.partial) > 0 {
		o.keepLine(string(o.partial))
		o.partial = nil
	}
	return slices.Clone(o.tail)
}

func (o *output) close() error {
	var errs []error
	for _, log := range o.logs {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}

// reportLine is Lambda's account of an invocation.
func reportLine(id string, memory int, o Outcome) string {
	ms := func(n int64) float64 { return float64(n) / 1e6 }
	return fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\tInit Duration: %.2f ms",
		id, ms(o.Duration.Nanoseconds()), (o.Duration.Nanoseconds()+999_999)/1e6, memory, o.Memory>>20, ms(o.Init.Nanoseconds()))
}
