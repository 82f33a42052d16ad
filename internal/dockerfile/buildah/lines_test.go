package buildah

import (
	"bytes"
	"strings"
	"testing"

	"github.com/towline/towline/internal/redact"
)

func TestALineWithoutAnEndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := &lines{to: &log, masking: redact.NewStream(&redact.Secrets{})}
	for range 100 {
		_, err := l.Write(bytes.Repeat([]byte("x"), 1000))
		must(t, err)
		if len(l.held) > lineLimit+1000 {
			t.Fatalf("%d bytes are held", len(l.held))
		}
	}
	l.flush()
	if got := strings.Count(log.String(), "x"); got != 100_000 {
		t.Errorf("%d bytes of 100000 have come", got)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a\nsecret-one\nb", 3)
	f.Add("no end", 1)
	f.Add("\n\n\n", 2)
	f.Add(strings.Repeat("x", lineLimit)+"secret-one", 1000)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size <= 0 {
			t.Skip()
		}
		var log bytes.Buffer
		l := &lines{to: &log, masking: redact.NewStream(redact.New("secret-one"))}
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			_, err := l.Write([]byte(rest[:min(size, len(rest))]))
			must(t, err)
		}
		l.flush()
		got := log.String()
		if strings.Contains(got, "secret-one") {
			t.Errorf("the log of %q shows the secret: %q", text, got)
		}
		if got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("the log of %q does not end with a line: %q", text, got)
		}
		if strings.ContainsAny(l.last, "\n") || len(l.last) > 0 && !strings.Contains(got, l.last) {
			t.Errorf("the last line %q is not in %q", l.last, got)
		}
	})
}
