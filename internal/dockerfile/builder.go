package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Builder goes the first of several ways that works on this machine.
type Builder struct {
	ways   []Way
	logger *slog.Logger

	probing chan struct{} // held by who chooses

	mu     sync.Mutex
	chosen Way // nil while none has passed its probe
}

// NewBuilder returns a builder that tries the ways in this order when the first
// build asks for one. It keeps to the first that works.
func NewBuilder(logger *slog.Logger, ways ...Way) *Builder {
	return &Builder{ways: ways, logger: logger, probing: make(chan struct{}, 1)}
}

// Build carries out a Dockerfile. It returns a *RefusedError when the Dockerfile
// says no, and a *NoWayError when nothing here can build one.
func (b *Builder) Build(ctx context.Context, build Build) (Result, error) {
	build.Limits = build.Limits.orDefault()
	masked, err := mask(&build)
	if err != nil {
		return Result{}, err
	}
	defer masked.flush()
	if err := check(build); err != nil {
		return Result{}, err
	}
	way, err := b.choose(ctx, build)
	if err != nil {
		return Result{}, err
	}
	build.Say("built by %s", way.Name())
	result, err := bounded(ctx, way, build)
	if err != nil {
		if _, refused := errors.AsType[*RefusedError](err); !refused && ctx.Err() == nil {
			b.forget()
		}
		err = masked.error(err)
		if errors.Is(err, ErrLost) {
			err = fmt.Errorf("%w; retry the stage, and what was done is taken from the cache", err)
		}
		return Result{}, err
	}
	result.Way = way.Name()
	return result, nil
}

// check refuses what no way can build, lest it be taken for the way's fault.
func check(b Build) error {
	info, err := os.Stat(b.File)
	if err != nil || !info.Mode().IsRegular() {
		return Refuse("dockerfile: %s is not a file; name the Dockerfile itself", b.FileName())
	}
	if info.Size() > FileLimit {
		return Refuse("dockerfile: %s has more than %d bytes; generate files in a RUN instead of writing them into it", b.FileName(), FileLimit)
	}
	if info, err := os.Stat(b.Context); err != nil || !info.IsDir() {
		return Refuse("context: %s is not a directory; name the one that COPY copies from", within(b.Dir, b.Context))
	}
	return nil
}

// choose finds the way to go. Builds that come meanwhile wait for the answer. A
// way that failed its probe is tried again by the next build that finds none, so
// that a mended machine needs no new start of the server.
func (b *Builder) choose(ctx context.Context, build Build) (Way, error) {
	select {
	case b.probing <- struct{}{}:
		defer func() { <-b.probing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if way := b.known(); way != nil {
		return way, nil
	}
	var none NoWayError
	for _, way := range b.ways {
		if build.Progress != nil {
			build.Progress("try to build with " + way.Name())
		}
		err := probe(ctx, way, build)
		if err == nil {
			b.logger.Info("Dockerfiles are built by " + way.Name())
			b.mu.Lock()
			b.chosen = way
			b.mu.Unlock()
			return way, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		none.Failures = append(none.Failures, Failure{way.Name(), err})
	}
	return nil, &none
}

func (b *Builder) known() Way {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.chosen
}

// forget has the next build try the ways out again: the one that was gone may
// not work any more.
func (b *Builder) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chosen = nil
}

// Failure is why a way cannot be gone.
type Failure struct {
	Way string
	Err error
}

// NoWayError tells of each way why it cannot be gone.
type NoWayError struct{ Failures []Failure }

func (e *NoWayError) Error() string {
	if len(e.Failures) == 0 {
		return "this server builds no Dockerfiles; its administrator can change that with towline server --dockerfile-builder"
	}
	var text strings.Builder
	text.WriteString("nothing on this server can build a Dockerfile; mend one of these:")
	for _, f := range e.Failures {
		fmt.Fprintf(&text, "\n  %s: %v", f.Way, f.Err)
	}
	return text.String()
}

// Unwrap returns what each way said.
func (e *NoWayError) Unwrap() []error {
	var all []error
	for _, f := range e.Failures {
		all = append(all, f.Err)
	}
	return all
}

var _ error = (*NoWayError)(nil)

// ErrLost is wrapped by a way's errors when it was lost in the middle of a
// build: the daemon died, or the connection did. The same build may succeed
// when it is done again. A Builder adds to the error that it can be.
var ErrLost = errors.New("it was lost during the build")
