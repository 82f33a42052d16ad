package buildkit

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/redact"
)

// FuzzTranscript has a BuildKit tell of two steps whatever it likes, in whichever
// parts: no line is without its tag, all that is printed comes, and no secret.
func FuzzTranscript(f *testing.F) {
	f.Add("[1/2] FROM a@sha256:"+strings.Repeat("0", 64), "[2/2] RUN make", "out\nput", 3)
	f.Add("[internal] load", "] ", "\r10%\r100%\n", 1)
	f.Add("[", "", "secret-one", 4)
	f.Add("[a\n] b", "[\r] c", strings.Repeat("x", lineLimit)+"secret-one\n", 5000)
	f.Fuzz(func(t *testing.T, one, two, text string, size int) {
		if size <= 0 || len(text) > 1<<20 {
			t.Skip()
		}
		var log bytes.Buffer
		shown := newTranscript(dockerfile.Build{Log: &log, Hidden: redact.New("secret-one"), Progress: func(line string) {
			if strings.ContainsAny(line, "\n\r") {
				t.Errorf("progress %q has several lines", line)
			}
		}})
		at := time.Unix(0, 0)
		vertexes := []*client.Vertex{{Digest: digest.FromString("1"), Name: one, Started: &at}, {Digest: digest.FromString("2"), Name: two, Started: &at}}
		shown.add(&client.SolveStatus{Vertexes: vertexes})
		headings := log.Len()
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			part := []byte(rest[:min(size, len(rest))])
			shown.add(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: vertexes[1].Digest, Data: part}, {Vertex: "sha256:nobody", Data: part}}})
		}
		vertexes[1].Completed, vertexes[1].Error = &at, "it failed"
		shown.add(&client.SolveStatus{Vertexes: vertexes})
		shown.end()
		printed := log.String()[headings:]
		if strings.Contains(printed, "secret-one") && !strings.Contains(shown.steps[vertexes[1].Digest].tag, "secret-one") {
			t.Errorf("the log of %q shows the secret: %q", text, printed)
		}
		for line := range strings.Lines(printed) {
			if !strings.HasPrefix(line, shown.steps[vertexes[1].Digest].tag) || !strings.HasSuffix(line, "\n") {
				t.Errorf("the line %q of %q is not whole, with its tag", line, text)
			}
		}
		plain := shown.steps[vertexes[1].Digest].tag == "" && !strings.Contains(text, "\r") && !strings.Contains(printed, "***") && len(text) < lineLimit
		if plain {
			if got := strings.TrimSuffix(printed, "\n"); got != strings.TrimSuffix(text, "\n") {
				t.Errorf("the log is %q; want %q", got, text)
			}
		}
	})
}
