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
	RunAs   string // user of all phases that name none, "" for the build's own
	Env     Env
	Batch   *Batch // nil when the file has none
	// Phases are those that the file has, in the order in which they run.
	Phases    []Phase
	Artifacts Artifacts
	// Secondary are the secondary artifacts, each with an ID, in the order of
	// the file.
	Secondary []Artifacts
	Reports   []Report
	Cache     Cache
	// Warnings name what the file says and this build does not do, in the
	// order of the file.
	Warnings []Warning
}

// Env is the environment of all commands.
type Env struct {
	Shell     string // "" for sh
	Variables map[string]string
	// Parameters and Secrets are the variables whose values are kept elsewhere,
	// and must not be seen: by the name of a parameter of the Parameter Store,
	// and as secret-id:json-key:version-stage:version-id of Secrets Manager.
	Parameters map[string]string
	Secrets    map[string]string
	Exported   []string // variables whose last value later actions can use
	// GitCredentials lets git in the commands use the credentials with which
	// the source was fetched.
	GitCredentials bool
}

// Phase is one of install, pre_build, build and post_build.
type Phase struct {
	Name     string
	RunAs    string // user that runs the commands, "" for Spec.RunAs
	Commands []string
	// Finally runs after Commands, also when one of them failed.
	Finally   []string
	OnFailure OnFailure
	// Runtimes are the tools that the phase install wants, in the order of the
	// file.
	Runtimes []Runtime
}

// OnFailure says what follows when a phase has failed.
type OnFailure struct {
	// Action is "", Abort, Continue or Retry. "" means: after a failed build
	// phase post_build runs, after any other nothing.
	Action string
	// With Retry: the phase is run again up to so many times, if the failure's
	// message matches the regular expression ("" for any). When that was of no
	// use, the rule of "" holds.
	Times int
	Match string
}

// The values of OnFailure.Action.
const (
	Abort    = "ABORT"
	Continue = "CONTINUE"
	Retry    = "RETRY"
)

// Runtime is a tool that a build wants: golang 1.21, java corretto17.
type Runtime struct {
	Name    string
	Version string // as the file has it: 18, 3.x, corretto17, latest
}

// Artifacts are files that the build hands on. BaseDirectory, Name and Prefix
// may hold what a shell replaces: variables and commands in $(...).
type Artifacts struct {
	ID    string // of a secondary artifact, "" for the primary one
	Name  string
	Files []string // globs, relative to BaseDirectory
	// Exclude are globs of files that are left out, relative to BaseDirectory.
	Exclude []string
	// BaseDirectory is relative to the source and may be a glob: the files of
	// all directories that match, without the directories' names.
	BaseDirectory string
	DiscardPaths  bool // all files go to the top of the artifact
	// Symlinks keeps symbolic links as such; without it an artifact holds what
	// they lead to.
	Symlinks bool
	Prefix   string // s3-prefix: where in a bucket the artifact goes
}

// Report is a group of files with the results of tests, or with coverage.
type Report struct {
	Name          string   // or ARN of the report group
	Files         []string // globs, relative to BaseDirectory
	BaseDirectory string   // relative to the source, may hold shell variables
	DiscardPaths  bool     // of the copies that AWS keeps
	Format        string   // one of ReportFormats, never ""
}

// ReportFormats are CodeBuild's, the default first: six of test results, then
// four of coverage.
func ReportFormats() []string {
	return []string{
		"JUNITXML", "NUNITXML", "NUNIT3XML", "CUCUMBERJSON", "VISUALSTUDIOTRX", "TESTNGXML",
		"CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV",
	}
}

// Cache are files that are kept from build to build. Key and Fallback may hold
// what a shell replaces, before the first phase.
type Cache struct {
	Paths []string // globs; relative to the source, or absolute
	// Key names the cache. With a key, what was kept once is not replaced.
	Key string
	// Fallback are keys, or beginnings of keys, that are tried when there is
	// no cache of the name Key.
	Fallback []string
	Action   string // "" for both, CacheRestore or CacheSave
}

// The values of Cache.Action.
const (
	CacheRestore = "restore"
	CacheSave    = "save"
)

// Batch is several builds of one source.
type Batch struct {
	FastFail bool // the first failure ends the others
	// Tasks are those of build-list and build-graph.
	Tasks  []Task
	Matrix *Matrix
	Fanout *Fanout
}

// Task is one build of a batch.
type Task struct {
	// Identifier is letters, digits and underscores, unique in the batch.
	Identifier    string
	Buildspec     string // path in the source, "" for the file with the batch
	IgnoreFailure bool   // the batch succeeds all the same
	DependOn      []string
	Env           TaskEnv
	// Shard and Shards say which part of a fan-out this is: 0 to Shards-1.
	// Shards is 0 otherwise.
	Shard, Shards int
}

// TaskEnv is what the environment of one build of a batch has of its own.
type TaskEnv struct {
	ComputeType string
	Fleet       string
	Image       string
	Type        string // such as LINUX_CONTAINER
	Privileged  bool
	Variables   map[string]string
}

// Matrix is a task for each combination of values.
type Matrix struct {
	IgnoreFailure bool
	Env           TaskEnv // of all tasks
	// The axes; an empty one does not multiply.
	Buildspecs   []string
	ComputeTypes []string
	Images       []string
	Variables    []Axis
}

// Axis is a variable with the values that it has in turn.
type Axis struct {
	Name   string
	Values []string
}

// Fanout is the same build so many times, each of which takes its share.
type Fanout struct {
	Parallelism   int
	IgnoreFailure bool
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
