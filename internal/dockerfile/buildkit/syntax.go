package buildkit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/towline/towline/internal/dockerfile"
)

// syntaxOf is the image that a Dockerfile wants to be read by, "" for none.
func syntaxOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, dockerfile.FileLimit))
	if err != nil {
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	syntax, _, _, _ := parser.DetectSyntax(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	return syntax, nil
}

// builtIn are the images whose newest version BuildKit has built in: those of
// the stable syntax, of which later versions understand what earlier ones do.
var builtIn = regexp.MustCompile(`^(docker\.io/)?docker/dockerfile(:(latest|1(\.\d+){0,2}))?$`)

func isBuiltIn(syntax string) bool { return builtIn.MatchString(syntax) }

// isUnreached tells whether an error is that an image's registry could not be
// reached.
func isUnreached(err error, image string) bool {
	text := err.Error()
	return dockerfile.IsNetwork(text) && (strings.Contains(text, "docker/dockerfile") || strings.Contains(text, image))
}
