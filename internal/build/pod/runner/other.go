//go:build !linux

package runner

import (
	"context"
	"fmt"
	"os"
)

// Main returns the exit code of a failure: Pods run Linux.
func Main(context.Context) int {
	fmt.Fprintln(os.Stderr, "this command is for the Pods of builds, which run Linux")
	return 1
}
