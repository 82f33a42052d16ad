package dockerfile_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// TestMain lets this program be the one that becomes buildkitd and buildah, and
// the server that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "enclose" {
		fmt.Fprintln(os.Stderr, enclosure.Main(os.Args[2:]))
		os.Exit(1)
	}
	if arguments := os.Getenv(serveVariable); arguments != "" {
		fmt.Fprintln(os.Stderr, serve(arguments))
		os.Exit(1)
	}
	os.Exit(m.Run())
}
