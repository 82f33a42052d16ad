package buildkit

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/redact"
)

// said is the log of steps that print these texts in turn.
func said(secrets *redact.Secrets, steps map[string][]string) string {
	var log bytes.Buffer
	t := newTranscript(dockerfile.Build{Log: &log, Hidden: secrets})
	at := time.Unix(0, 0)
	most := 0
	for name, texts := range steps {
		t.add(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: digest.FromString(name), Name: name, Started: &at}}})
		most = max(most, len(texts))
	}
	for i := range most {
		for name, texts := range steps {
			if i < len(texts) {
				t.add(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: digest.FromString(name), Data: []byte(texts[i])}}})
			}
		}
	}
	t.end()
	return log.String()
}

// wrapped is a text in lines of a width.
func wrapped(text string, width int) string {
	var lines []string
	for ; len(text) > width; text = text[width:] {
		lines = append(lines, text[:width])
	}
	return strings.Join(append(lines, text), "\n") + "\n"
}

// shows are the parts of a secret's text that stand in a log: any 12 bytes are
// too many.
func shows(log, text string) []string {
	text = strings.ReplaceAll(text, "\n", "")
	var found []string
	for ; len(text) >= 12; text = text[12:] {
		if strings.Contains(log, text[:12]) {
			found = append(found, text[:12])
		}
	}
	return found
}

func TestWhatStepsPrintIsMaskedBeforeItIsTagged(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 100 {
		long.WriteString(digest.FromString(strings.Repeat("x", i)).Encoded()[:7])
	}
	secret := long.String()
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	for name, c := range map[string]struct{ print, hidden string }{
		"base64 in lines of 76":           {wrapped(encoded, 76), encoded},
		"a value in lines of 20":          {wrapped(secret, 20), secret},
		"a value across the cut of lines": {strings.Repeat("-", lineLimit-300) + secret + strings.Repeat("-", 4<<10) + "\n", secret},
		"base64 across the cut of lines":  {strings.Repeat("-", lineLimit-40) + encoded + strings.Repeat("-", 4<<10) + "\n", encoded},
		"a value without the end of line": {"it is " + secret, secret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{len(c.print), 1000, 7} {
				var parts, other []string
				for rest := c.print + "end\n"; rest != ""; rest = rest[min(size, len(rest)):] {
					parts, other = append(parts, rest[:min(size, len(rest))]), append(other, "meanwhile\n")
				}
				log := said(redact.New(secret), map[string][]string{"[2/3] RUN a": parts, "[3/3] RUN b": other})
				if found := shows(log, c.hidden); len(found) > 0 {
					t.Errorf("in parts of %d bytes, %d pieces are shown, such as %q", size, len(found), found[0])
				}
				if !strings.Contains(log, "***") || !strings.Contains(log, "[3/3] meanwhile\n") || !strings.Contains(log, "end\n") {
					t.Errorf("in parts of %d bytes, the log is\n%s", size, log)
				}
			}
		})
	}
}

func TestSeveralLinesOfASecretAreMaskedInEachStep(t *testing.T) {
	t.Parallel()
	secret := "first-line-here\nb\nlast-line-there"
	log := said(redact.New(secret), map[string][]string{"[2/3] RUN a": {"first-line-here\nb\nlast-", "line-there\nnext\n"}})
	want := "[2/3] RUN a\n[2/3] ***\n[2/3] ***\n[2/3] ***\n[2/3] next\n"
	if log != want {
		t.Errorf("the log is %q; want %q", log, want)
	}
}
