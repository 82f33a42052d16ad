package report_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/towline/towline/internal/report"
)

// writeLinesTo makes the test binary append lines to the log that it names, in
// a process of its own.
const writeLinesTo = "TOWLINE_TEST_WRITE_LINES_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(writeLinesTo); path != "" {
		if err := writeLines(path, "child"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func openLog(t *testing.T) (*report.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "action.log")
	l, err := report.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// texts reads the whole log and demands a stamp on each line.
func texts(t *testing.T, path string) []string {
	t.Helper()
	var got []string
	err := report.Follow(t.Context(), path, 0, func() bool { return true }, func(l report.Line) error {
		if time.Since(l.Time).Abs() > time.Hour {
			t.Errorf("line %q has the time %v", l.Text, l.Time)
		}
		got = append(got, l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStampIsUTCToTheMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 3, 4, 5, 6, 7, 89e6, time.FixedZone("east", 3600))
	if got, want := report.Stamp(at, "hello"), "2025-03-04T04:06:07.089Z hello\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64<<10)
	for name, c := range map[string]struct{ writes, want []string }{
		"appends whole lines":                        {[]string{"a\nb\n"}, []string{"a", "b"}},
		"joins the pieces of a line":                 {[]string{"a", "b", "c\nd", "\n"}, []string{"abc", "d"}},
		"keeps the last line until Close":            {[]string{"a\nb"}, []string{"a", "b"}},
		"keeps empty lines":                          {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"drops the carriage return of a line's end":  {[]string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		"splits a line that is too long":             {[]string{long + "y\n"}, []string{long, "y"}},
		"splits a line that has no end":              {[]string{long, "y"}, []string{long, "y"}},
		"hides a secret":                             {[]string{"the pass", "word is s3cr", "et, s3cret\n"}, []string{"the password is ***, ***"}},
		"hides a secret where a long line is split":  {[]string{long[2:] + "s3c", "ret"}, []string{long[2:] + "**", "*"}},
		"hides a secret over the end of a long line": {[]string{long[3:] + "s3cret-" + long}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, path := openLog(t)
			l.Hide("s3cret")
			for _, w := range c.writes {
				if n, err := io.WriteString(l, w); err != nil || n != len(w) {
					t.Fatalf("wrote %d of %d: %v", n, len(w), err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			got := texts(t, path)
			if diff := cmp.Diff(c.want, got); c.want != nil && diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			if strings.Contains(strings.Join(got, ""), "s3cret") {
				t.Error("the secret is in the log")
			}
		})
	}
}

func TestLogHidesASecretHoweverTheWritesAreCut(t *testing.T) {
	t.Parallel()
	l, path := openLog(t)
	l.Hide("s3cret")
	text := strings.Repeat("a s3cret in a line without end, ", 10_000)
	for text != "" {
		n := min(len(text), 1+rand.IntN(9000))
		if _, err := io.WriteString(l, text[:n]); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(texts(t, path), ""); strings.Contains(all, "s3cret") || strings.Count(all, "a *** in") != 10_000 {
		t.Error("the secret is in the log, or text is missing")
	}
}

func TestLogHidesASecretThatBeginsWithAnother(t *testing.T) {
	t.Parallel()
	l, path := openLog(t)
	l.Hide("token")
	l.Hide("token-of-the-registry")
	if _, err := io.WriteString(l, "docker login -p token-of-the-registry\n"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"docker login -p ***"}, texts(t, path)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestLogHidesASecretOfSeveralLinesBetweenLabelsAndLinesOfItsOwn(t *testing.T) {
	t.Parallel()
	l, path := openLog(t)
	l.Hide("first line\nsec\nlast line")
	l.Label("[linux] ")
	for _, text := range []string{"it is first line\nse", "c\nlast line.\n", "first li"} {
		if _, err := io.WriteString(l, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Printf("[build] $ echo %s", "first line"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(l, "ne\nsec\nlast line\n"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"[linux] it is ***", "[linux] ***", "[linux] ***.", "[linux] ***", "[linux] [build] $ echo ***", "[linux] ***", "[linux] ***", "[linux] ***"}
	if diff := cmp.Diff(want, texts(t, path)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestLogSaysWhatItCannotHide(t *testing.T) {
	t.Parallel()
	l, path := openLog(t)
	for _, value := range []string{"", "abc", "abcd"} {
		l.Hide(value)
	}
	if err := l.Printf("abc abcd"); err != nil {
		t.Fatal(err)
	}
	want := []string{"warning: a secret of fewer than 4 characters is not hidden in this log: it would be found in other words; make it longer", "abc ***"}
	if diff := cmp.Diff(want, texts(t, path)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if got := l.Redact("YWJjZA== abcd"); got != "*** ***" {
		t.Errorf("redacted %q", got)
	}
}

// writeLines appends numbered lines, in batches and in pieces.
func writeLines(path, who string) error {
	l, err := report.OpenLog(path)
	if err != nil {
		return err
	}
	for i := range 2000 {
		if i%3 == 0 {
			_, err = fmt.Fprintf(l, "%s %d %s\n%s half", who, i, strings.Repeat("-", i%500), who)
			if err == nil {
				err = l.EndLine()
			}
		} else {
			_, err = fmt.Fprintf(l, "%s %d %s\n", who, i, strings.Repeat("-", i%500))
		}
		if err != nil {
			return err
		}
	}
	return l.Close()
}

func TestTwoProcessesAppendWithoutTearingALine(t *testing.T) {
	t.Parallel()
	_, path := openLog(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), writeLinesTo+"="+path)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, who := range []string{"one", "two"} {
		wg.Go(func() {
			if err := writeLines(path, who); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, line := range texts(t, path) {
		var who, dashes string
		var n int
		if _, err := fmt.Sscanf(line, "%s half", &who); err == nil {
			continue
		}
		_, _ = fmt.Sscanf(line, "%s %d %s", &who, &n, &dashes)
		if n != next[who] || len(dashes) != n%500 {
			t.Fatalf("after line %d of %s came %q", next[who]-1, who, line)
		}
		next[who]++
	}
	if diff := cmp.Diff(map[string]int{"one": 2000, "two": 2000, "child": 2000}, next); diff != "" {
		t.Error("lines of each writer (-want +got)\n", diff)
	}
}

func TestFollowReadsAFileThatGrowsFromTheFirstLineToTheLast(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "later", "action.log")
	var ended atomic.Bool
	lines := make(chan report.Line, 100)
	done := make(chan error, 1)
	go func() {
		done <- report.Follow(t.Context(), path, 0, ended.Load, func(l report.Line) error { lines <- l; return nil })
	}()
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := report.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	var offset int64
	for i := range 3 {
		if err := l.Printf("line %d", i); err != nil {
			t.Fatal(err)
		}
		got := <-lines
		if got.Text != fmt.Sprintf("line %d", i) {
			t.Fatalf("got %q as line %d", got.Text, i)
		}
		offset = got.Offset
	}
	if _, err := io.WriteString(l, "the last"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ended.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	close(lines)
	if got := <-lines; got.Text != "the last" {
		t.Errorf("the last line was %q", got.Text)
	}
	var again []string
	err = report.Follow(t.Context(), path, offset, ended.Load, func(l report.Line) error { again = append(again, l.Text); return nil })
	if diff := cmp.Diff([]string{"the last"}, again); err != nil || diff != "" {
		t.Error("read on from an offset", err, "(-want +got)\n", diff)
	}
}

func TestFollowEndsEarly(t *testing.T) {
	t.Parallel()
	l, path := openLog(t)
	if err := l.Printf("a line"); err != nil {
		t.Fatal(err)
	}
	never := func() bool { return false }
	stop := errors.New("stop")
	t.Run("with the error of emit", func(t *testing.T) {
		t.Parallel()
		if err := report.Follow(t.Context(), path, 0, never, func(report.Line) error { return stop }); !errors.Is(err, stop) {
			t.Error(err)
		}
	})
	t.Run("with the cause of the context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		err := report.Follow(ctx, path, 0, never, func(report.Line) error { cancel(stop); return nil })
		if !errors.Is(err, stop) {
			t.Error(err)
		}
	})
}

func TestFollowReadsForeignFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "foreign.log")
	text := "no stamp\n2025-13-99T00:00:00.000Z no time\n" + strings.Repeat("z", 3<<20)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	total, n := 0, 0
	err := report.Follow(t.Context(), path, 0, func() bool { return true }, func(l report.Line) error {
		n++
		total += len(l.Text)
		if !l.Time.IsZero() || len(l.Text) > 1<<20 {
			t.Errorf("line %d has time %v and %d bytes", n, l.Time, len(l.Text))
		}
		return nil
	})
	if err != nil || n != 5 || total != len(text)-2 {
		t.Errorf("read %d bytes in %d lines: %v", total, n, err)
	}
}

// BenchmarkChattyBuild runs a command that prints 100 MB, with its output
// thrown away, read from a pipe and thrown away, and appended to a log: the
// difference of the last two is what the log costs.
func BenchmarkChattyBuild(b *testing.B) {
	const lines, mb = 1_000_000, 100
	script := fmt.Sprintf(`BEGIN { for (i = 0; i < %d; i++) printf "%%07d %%s %%.6f\n", i, "ok  github.com/acme/web/internal/some/package/of/ours compiled and tested, all right,", sqrt(i) }`, lines)
	for _, sink := range []string{"discard", "pipe", "log"} {
		b.Run(sink, func(b *testing.B) {
			b.SetBytes(mb << 20)
			for b.Loop() {
				cmd := exec.Command("awk", script)
				switch sink {
				case "pipe":
					cmd.Stdout = struct{ io.Writer }{io.Discard}
				case "log":
					l, err := report.OpenLog(filepath.Join(b.TempDir(), "build.log"))
					if err != nil {
						b.Fatal(err)
					}
					l.Hide("a-password-of-some-length")
					cmd.Stdout = l
				}
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
