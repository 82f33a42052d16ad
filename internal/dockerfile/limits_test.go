package dockerfile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/dockerfile"
)

// writer is a way that writes what comes out as it likes.
type writer struct {
	write func(ctx context.Context, b dockerfile.Build) error
}

func (*writer) Name() string { return "a writer" }

func (w *writer) Build(ctx context.Context, b dockerfile.Build) (dockerfile.Result, error) {
	if _, err := os.Stat(filepath.Join(b.Dir, "probe")); err == nil {
		return dockerfile.Result{}, nil
	}
	must := os.MkdirAll(b.Output, 0o755)
	return dockerfile.Result{}, errors.Join(must, w.write(ctx, b))
}

func TestAnImageThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(ctx context.Context, b dockerfile.Build) error{
		"while it grows": func(ctx context.Context, b dockerfile.Build) error {
			if err := os.WriteFile(filepath.Join(b.Output, "blob"), make([]byte, 2000), 0o600); err != nil {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		},
		"when it is whole": func(_ context.Context, b dockerfile.Build) error {
			return os.WriteFile(filepath.Join(b.Output, "blob"), make([]byte, 2000), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := someBuild(t)
			b.Limits.Image = 1000
			_, err := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &writer{write}).Build(t.Context(), b)
			refused, ok := errors.AsType[*dockerfile.RefusedError](err)
			if !ok || !strings.Contains(refused.Message, "larger than the limit of 1000 bytes") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestALogThatIsTooLongIsCut(t *testing.T) {
	t.Parallel()
	w := &writer{func(_ context.Context, b dockerfile.Build) error {
		for i := range 1000 {
			b.Say("line %d", i)
		}
		return nil
	}}
	b, said := someBuild(t)
	b.Limits.Log = 100
	if _, err := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), w).Build(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want := "built by a writer\n"
	for i := range 11 {
		want += fmt.Sprintf("line %d\n", i)
	}
	want += "the log is cut here: it may have 100 bytes; the build goes on\n"
	if said.String() != want {
		t.Errorf("the log is\n%s\nwant\n%s", said, want)
	}
}
