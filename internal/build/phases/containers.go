//go:build linux

package phases

import (
	"context"
	"regexp"
	"strings"

	"github.com/towline/towline/internal/build"
)

// builders are programs that make images, with a question that only one which
// works can answer: Docker's program alone builds nothing.
var builders = []struct {
	name    string
	used    *regexp.Regexp
	works   question
	missing string // why the question has no answer though the program is there
}{
	{
		"docker", regexp.MustCompile(`(?m)(^|[\s;&|(])docker\s+(build|buildx|image|push|pull|login|run|tag|compose|info|save|load)\b`),
		question{"docker version --format 'server {{.Server.Version}}'", regexp.MustCompile(`server (\d[\w.]*)`)},
		"docker is installed, but no Docker daemon answers this build's user",
	},
	{
		"podman", regexp.MustCompile(`(?m)(^|[\s;&|(])podman\s+(build|push|pull|login|run|tag)\b`),
		question{"podman info --format 'version {{.Version.Version}}'", regexp.MustCompile(`version (\d[\w.]*)`)},
		"podman is installed, but does not work for this build's user",
	},
	{
		"buildah", regexp.MustCompile(`(?m)(^|[\s;&|(])buildah\s+(bud|build|push|pull|login|from|tag)\b`),
		question{"buildah --version", regexp.MustCompile(`version (\d[\w.]*)`)},
		"buildah is installed, but does not work for this build's user",
	},
}

// present tells whether a program is there.
var present = regexp.MustCompile(`(/\S+)`)

// containers warns of commands that make images by a program that is not there,
// and says what makes images without it. The commands run all the same.
func (p *walker) containers(ctx context.Context) error {
	commands := commandsOf(p.Build)
	for _, b := range builders {
		if !b.used.MatchString(commands) || p.version(ctx, b.works) != "" {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		why := b.missing
		if p.version(ctx, question{"command -v " + b.name, present}) == "" {
			why = b.name + " is not installed where the build runs"
		}
		p.Output.Printf("[install] warning: the commands use %s, and %s; an image action with dockerfile: builds and pushes an image without it, see docs/builds/dockerfile.md", b.name, why)
	}
	return ctx.Err()
}

// commandsOf are all commands of a build, as one text.
func commandsOf(b build.Build) string {
	var all []string
	for _, phase := range b.Phases {
		all = append(append(all, phase.Commands...), phase.Finally...)
	}
	return strings.Join(all, "\n")
}
