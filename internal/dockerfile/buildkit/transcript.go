package buildkit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/redact"
)

// transcript writes what BuildKit tells of its steps as lines. Steps run side by
// side, so each line begins with the step that it is of. It belongs to one
// goroutine until it has ended.
type transcript struct {
	build dockerfile.Build
	steps map[digest.Digest]*step
	order []*step
	bases []string // those found so far
}

// step is one vertex of BuildKit's graph.
type step struct {
	name, tag      string // "[2/3] RUN make" and "[2/3] "
	quiet          bool   // not worth a line unless it says something
	started, ended bool
	begin          time.Time
	// What it says is masked before it becomes lines: a secret may go over the
	// end of one, and over the tag of the next.
	masking *redact.Stream
	held    []byte // of a line that is not complete
}

func newTranscript(b dockerfile.Build) *transcript {
	return &transcript{build: b, steps: map[digest.Digest]*step{}}
}

// base is a step that takes an image.
var base = regexp.MustCompile(`\bFROM (\S+@sha256:[0-9a-f]{64})$`)

func (t *transcript) add(u *client.SolveStatus) {
	for _, v := range u.Vertexes {
		t.vertex(v)
	}
	for _, l := range u.Logs {
		if s := t.steps[l.Vertex]; s != nil {
			t.print(s, l.Data)
		}
	}
	for _, w := range u.Warnings {
		t.build.Say("warning: %s", w.Short)
	}
}

func (t *transcript) vertex(v *client.Vertex) {
	s := t.steps[v.Digest]
	if s == nil {
		s = &step{name: strings.Join(strings.Fields(v.Name), " "), masking: redact.NewStream(t.build.Hidden)}
		if end := strings.Index(s.name, "] "); end > 0 && s.name[0] == '[' {
			s.tag = s.name[:end+2]
		}
		s.quiet = strings.HasPrefix(s.name, "[internal] ") || s.tag == ""
		t.steps[v.Digest] = s
		t.order = append(t.order, s)
		if found := base.FindStringSubmatch(s.name); found != nil {
			t.bases = append(t.bases, found[1])
		}
	}
	if v.Started != nil && !s.started && !v.Cached {
		s.started, s.begin = true, *v.Started
		if t.build.Progress != nil {
			t.build.Progress(s.name)
		}
		if !s.quiet {
			t.build.Say("%s", s.name)
		}
	}
	if v.Completed == nil || s.ended {
		return
	}
	t.endLine(s)
	s.ended = true
	switch {
	case v.Error != "" || s.quiet:
	case v.Cached:
		t.build.Say("%s (cached)", s.name)
	case s.started:
		t.build.Say("%sdone in %s", s.tag, seconds(v.Completed.Sub(s.begin)))
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// lineLimit is the most of a line that is waited for, in bytes.
const lineLimit = 16 << 10

// print writes what a step says, line by line.
func (t *transcript) print(s *step, text []byte) {
	s.held = s.masking.Append(s.held, text)
	t.lines(s)
}

func (t *transcript) lines(s *step) {
	for {
		end := bytes.IndexByte(s.held, '\n')
		if end < 0 && len(s.held) < lineLimit {
			return
		}
		if end < 0 {
			end = len(s.held) - 1
		}
		t.line(s, s.held[:end+1])
		s.held = s.held[end+1:]
	}
}

// line writes one line. Of a line that was written over and over, as a progress
// bar is, the last state counts.
func (t *transcript) line(s *step, text []byte) {
	text = bytes.TrimRight(text, "\r\n")
	text = text[bytes.LastIndexByte(text, '\r')+1:]
	t.build.Say("%s%s", s.tag, text)
}

// endLine writes the line that a step did not end.
func (t *transcript) endLine(s *step) {
	s.held = s.masking.Flush(s.held)
	t.lines(s)
	if len(s.held) > 0 {
		t.line(s, s.held)
		s.held = nil
	}
}

// end writes all lines that were not ended.
func (t *transcript) end() {
	for _, s := range t.order {
		t.endLine(s)
	}
}
