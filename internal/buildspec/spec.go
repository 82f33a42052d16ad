// Package buildspec reads CodeBuild's buildspec.yml: which commands a build
// runs in which phase, which files it hands on, which reports it writes. It
// takes the file as AWS documents it and adds nothing. It knows the words of
// the file, not how a build runs: that is the build room's.
package buildspec

import "fmt"

// FileName is where a buildspec is looked for when an action names no path.
const FileName = "buildspec.yml"

// Spec is one buildspec file.
type Spec struct {
	// Version is "0.2" or "0.1". In 0.1 each command has a shell of its own,
	// in 0.2 one shell runs them all.
	Version string
	Env     Env
	// Phases are those that the file has, in the order in which they run.
	Phases    []Phase
	Artifacts Artifacts
	Reports   []Report
	// Warnings name what the file says and this build does not do, in the
	// order of the file.
	Warnings []Warning
}

// Env is the environment of all commands.
type Env struct {
	Shell     string // "" for sh
	Variables map[string]string
	Exported  []string // variables whose last value later actions can use
}

// Phase is one of install, pre_build, build and post_build.
type Phase struct {
	Name     string
	Commands []string
	// Finally runs after Commands, also when one of them failed.
	Finally   []string
	OnFailure string // "", Abort or Continue
}

// The values of Phase.OnFailure. Empty means: after a failed build phase
// post_build runs, after any other nothing.
const (
	Abort    = "ABORT"
	Continue = "CONTINUE"
)

// Artifacts are the files that the build hands on.
type Artifacts struct {
	Name          string
	Files         []string // globs, relative to BaseDirectory
	BaseDirectory string   // relative to the source, may hold shell variables
	DiscardPaths  bool     // all files go to the top of the artifact
}

// Report is a group of JUnit XML files.
type Report struct {
	Name          string
	Files         []string // globs, relative to BaseDirectory
	BaseDirectory string   // relative to the source
}

// Warning is about a part of the file that has no effect.
type Warning struct {
	Line    int // from 1
	Column  int // from 1
	Message string
}

// Problem is something that is wrong in the file.
type Problem struct {
	File    string
	Line    int // from 1
	Column  int // from 1
	Message string
	Hint    string // how to mend it, may be empty
}

func (p Problem) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}
