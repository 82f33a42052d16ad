package phases

import (
	"context"
	"io"
)

// The programs that CodeBuild has for builds, by their names on the commands'
// search path. Each is a command of Towline's program too.
const (
	HashFiles  = "codebuild-hash-files"
	GlobSearch = "codebuild-glob-search"
	TestsRun   = "codebuild-tests-run"
)

// Tools are the names of these programs.
func Tools() []string { return []string{HashFiles, GlobSearch, TestsRun} }

// Tool is the program that args begin with: it returns the exit code, and ok
// false when there is none of the name.
func Tool(ctx context.Context, args []string, out, errs io.Writer) (code int, ok bool) {
	if len(args) == 0 {
		return 0, false
	}
	name, args := args[0], args[1:]
	switch name {
	case HashFiles:
		return hashFiles(args, out, errs), true
	case GlobSearch:
		return globSearch(args, out, errs), true
	case TestsRun:
		return testsRun(ctx, args, out, errs), true
	}
	return 0, false
}
