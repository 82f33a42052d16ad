// Package dockerfile builds Dockerfiles. Its nouns are the Build, a Dockerfile
// with all that it may read, and the Way, a program of this machine or of
// another that carries one out: a BuildKit, a Docker, buildah. A Builder finds
// out which way works here and goes it.
//
// It stands behind the image action, which gives it a directory and pushes what
// comes out of it, an OCI layout. It must not know artifacts, registries to push
// to, or pipelines. The ways have rooms of their own: buildkit, with daemon, and
// buildah.
package dockerfile

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/towline/towline/internal/redact"
)

// Build is one Dockerfile to be built.
type Build struct {
	// Dir is the source, an absolute path. Nothing outside of it is read.
	Dir string
	// File is the Dockerfile and Context the directory that COPY copies from,
	// both absolute, below Dir, with all symbolic links followed.
	File, Context string
	// Target is the stage to build, "" for the last.
	Target string
	Args   map[string]string
	// Secrets are values by the IDs that RUN --mount=type=secret names.
	Secrets map[string][]byte
	// Hidden are the secrets as a way must hide them where it changes what
	// commands print before it goes to the log: tags lines, or cuts them. A
	// Builder sets it; nil hides nothing.
	Hidden *redact.Secrets
	// Layouts are OCI layout directories, absolute paths, that FROM and COPY
	// --from find under these names instead of in a registry.
	Layouts map[string]Layout
	// Platforms such as linux/arm64; none is that of whoever builds.
	Platforms []string
	// NoCache builds each step anew.
	NoCache bool
	// Time is what commands see as SOURCE_DATE_EPOCH, if they ask for it by ARG.
	Time time.Time
	// Output is a directory which does not exist yet: an OCI layout afterwards,
	// with one image, or one index of one image for each platform. Temporary files
	// are made beside it, which its owner removes where this process was killed.
	Output string
	// Limits bound what comes out of it.
	Limits Limits
	// Credential is asked for what a registry wants before it gives a base; a
	// zero one is none. It may be called by several goroutines at once.
	Credential func(ctx context.Context, host string) (Credential, error)
	// Log takes what a person should read, whole lines only. Secrets are masked
	// before. Progress replaces the one line of progress; it may be nil.
	Log      io.Writer
	Progress func(line string)
}

// Credential is a user's name and password. Without a name the password is a
// token of OAuth 2.
type Credential struct{ User, Password string }

// Layout is an OCI layout directory and the digest of the manifest or index in
// it that is meant, such as sha256:...
type Layout struct{ Dir, Digest string }

// Result is what is known of a build that succeeded.
type Result struct {
	// Way is by what it was built, as a Way's Name.
	Way string
	// Bases are the images that it was built on, by digest, as far as the way
	// tells, such as docker.io/library/debian:12@sha256:...
	Bases []string
}

// Way carries out builds. It is called by several builds at once. What it
// started for a build is ended when the context is.
type Way interface {
	// Name is what people call it, such as "buildah".
	Name() string
	// Build returns a *RefusedError when the Dockerfile says no. Any other
	// error is of the way. The log is as Build's, but for the masking.
	Build(ctx context.Context, b Build) (Result, error)
}

// RefusedError tells why a Dockerfile cannot be built as it stands. It is the
// user's to mend.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }

// Refuse is a *RefusedError.
func Refuse(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// FileLimit is the most that a Dockerfile may have, in bytes; BuildKit takes no
// more.
const FileLimit = 4 << 20

// FileName is the Dockerfile as the user writes it.
func (b Build) FileName() string { return within(b.Dir, b.File) }

// within is a path of the source as the user writes it.
func within(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil {
		return rel
	}
	return filepath.Base(path)
}

// Say adds a line to the log.
func (b Build) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.Log, format+"\n", args...) // a log that is lost is reported by its owner
}
