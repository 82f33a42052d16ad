package e2e_test

import (
	"os"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/towline/towline/internal/dockerfile/basetest"
)

// baseLayout DIR writes an image with a shell as an OCI layout directory, and has
// the script use the buildkitd that was compiled for this machine's user.
func baseLayout(ts *testscript.TestScript, _ bool, args []string) {
	image, err := basetest.Busybox()
	ts.Check(err)
	to, err := layout.Write(ts.MkAbs(args[0]), empty.Index)
	ts.Check(err)
	ts.Check(to.AppendImage(image))
	cache, err := os.UserCacheDir()
	ts.Check(err)
	ts.Setenv("XDG_CACHE_HOME", cache)
}
