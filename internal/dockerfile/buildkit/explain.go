package buildkit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"github.com/towline/towline/internal/dockerfile"
)

// explain tells what a build failed with: the user's to mend as a
// *dockerfile.RefusedError, naming the line, and otherwise an error.
func explain(err error, b dockerfile.Build) error {
	text := strings.TrimPrefix(err.Error(), "failed to solve: ")
	at := place(err, b)
	// The end of a command comes first: BuildKit's text quotes the command.
	if exit, ok := errors.AsType[*gateway.ExitError](err); ok && exit.ExitCode != gateway.UnknownExitStatus {
		return dockerfile.Refuse("%sthe command ended with exit code %d%s", at, exit.ExitCode, emulation(b))
	}
	switch code := grpcerrors.Code(err); {
	case code == codes.Unavailable, code == codes.Canceled, errors.Is(err, context.Canceled):
		return fmt.Errorf("build with BuildKit: %w: %s", dockerfile.ErrLost, text)
	case dockerfile.IsFull(text):
		return fmt.Errorf("build with BuildKit: %s; free space on the disk of its data", text)
	case code == codes.ResourceExhausted:
		return fmt.Errorf("build with BuildKit: %s", text)
	case dockerfile.IsNetwork(text):
		return fmt.Errorf("%s%s; check that the machine of BuildKit reaches the registry, or take the base from the embedded registry or an OCI layout", at, text)
	case strings.Contains(text, "exec format error"):
		return dockerfile.Refuse("%s%s%s", at, text, emulation(b))
	}
	return dockerfile.Refuse("%s%s", at, text)
}

// place is the file and line that an error is about, with a colon after it.
func place(err error, b dockerfile.Build) string {
	for _, s := range slices.Backward(errdefs.Sources(err)) {
		if s.GetInfo() == nil || len(s.GetRanges()) == 0 {
			continue
		}
		line := int(s.GetRanges()[0].GetStart().GetLine())
		lines := strings.Split(string(s.GetInfo().GetData()), "\n")
		if line >= 1 && line <= len(lines) {
			return fmt.Sprintf("%s:%d: %s: ", b.FileName(), line, strings.TrimSpace(lines[line-1]))
		}
	}
	return b.FileName() + ": "
}

// emulation is a hint for those who run the programs of another platform.
func emulation(b dockerfile.Build) string {
	foreign := func(p string) bool {
		_, arch, _ := strings.Cut(p, "/")
		arch, _, _ = strings.Cut(arch, "/")
		return arch != runtime.GOARCH
	}
	if !slices.ContainsFunc(b.Platforms, foreign) {
		return ""
	}
	return "; commands of another platform need an emulator on the machine of BuildKit (Debian's qemu-user-static); without one, " +
		"compile in a stage FROM --platform=$BUILDPLATFORM and only COPY in the last one"
}
