package function

import (
	"fmt"

	"github.com/towline/towline/internal/box/usage"
)

const mostTempFiles = 100_000

// watcher watches what the function uses. Where it has a user whom nobody else
// is, the kernel bounds its processes.
func (p *running) watcher() *usage.Watcher {
	limits := usage.Limits{Memory: int64(p.in.Invocation.Function.Memory) << 20, Processes: p.in.Processes, Disk: mostTemp, Files: mostTempFiles}
	if p.in.User >= 0 && p.in.Boxed {
		limits.Processes = 0
	}
	return usage.New(limits, []usage.Place{{Name: "/tmp", Path: p.places.temp}}, true)
}

// exceeded is the error of a function that uses too much.
func (p *running) exceeded(e *usage.Excess) *Error {
	switch e.Kind {
	case usage.Memory:
		return &Error{Type: ErrorMemory, Message: fmt.Sprintf("the function used more than its memory of %d MB: give it more with --memory", p.in.Invocation.Function.Memory)}
	case usage.Processes:
		return &Error{Type: ErrorProcesses, Message: fmt.Sprintf("the function had %d processes and threads; it may have %d", e.Used, e.Limit)}
	case usage.Files:
		return &Error{Type: ErrorDisk, Message: fmt.Sprintf("the function made more than %d files in /tmp", e.Limit)}
	}
	return &Error{Type: ErrorDisk, Message: fmt.Sprintf("the function wrote more than %d MB to /tmp", mostTemp>>20)}
}
