// Package function runs Lambda functions. Its noun is the function: code with a
// handler, which is given an event and answers it. It speaks the Lambda Runtime
// API, so that handlers and bootstraps run here as they were written for AWS,
// and honours CodePipeline's contract with the functions that its actions and
// rules invoke.
//
// The room stands beside build, as another way to carry an action out. It must
// not know stages, executions or what follows from an action's end; where
// artifacts lie for a function, and with which credentials it reaches them, is
// told to it by others (see Access).
//
// To read it: function.go (the noun), runtime.go (what runs which handler),
// invoke.go (one invocation, from the server's side), runner.go and api.go (the
// process that carries it out), action.go and event.go (CodePipeline's jobs).
package function

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// The limits of a function, which are Lambda's, and what holds when nothing is
// said.
const (
	MostTimeout     = 15 * time.Minute
	DefaultTimeout  = time.Minute
	LeastMemory     = 128 // MB
	MostMemory      = 10240
	DefaultMemory   = 512
	mostEnvironment = 4 << 10 // bytes of names and values
	mostHandler     = 128
	// MostPayload bounds an event and an answer, in bytes.
	MostPayload = 6 << 20
)

// Function is code that can be invoked.
type Function struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Runtime     string            `json:"runtime"`           // such as python3.12, see Runtimes
	Handler     string            `json:"handler,omitempty"` // as the runtime reads it
	Timeout     time.Duration     `json:"timeout"`           // of one invocation, once the function is ready for it
	Memory      int               `json:"memory"`            // MB that its processes may use together
	Environment map[string]string `json:"environment,omitempty"`
	// Code is the digest of the files in the artifact store, and Size that of
	// the archive in bytes.
	Code string `json:"code"`
	Size int64  `json:"size"`
	// Revision counts the changes, from 1.
	Revision int       `json:"revision"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

var (
	functionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	variableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	handlerForm  = regexp.MustCompile(`^[^\s\x00]+$`)
)

// reserved are the variables that the runtime sets; Lambda refuses them too.
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// Complete fills in what is not said.
func (f Function) Complete() Function {
	if f.Timeout == 0 {
		f.Timeout = DefaultTimeout
	}
	if f.Memory == 0 {
		f.Memory = DefaultMemory
	}
	return f
}

// Check is all that is wrong with the settings of a function, which Complete
// has completed. Paths are the names of the settings.
func (f Function) Check() (problems pipeline.Problems) {
	add := func(path, hint, message string, args ...any) {
		problems = append(problems, pipeline.Problem{Path: path, Message: fmt.Sprintf(message, args...), Hint: hint})
	}
	if !functionName.MatchString(f.Name) {
		add("name", "use up to 64 letters, digits, - and _", "%q is no name of a function", f.Name)
	}
	kind, ok := kindOf(f.Runtime)
	if !ok {
		add("runtime", "choose "+strings.Join(Runtimes(), ", ")+", or a version of those such as python3.12", "there is no runtime %q", f.Runtime)
	}
	switch {
	case f.Handler == "" && (kind.name == provided || !ok):
	case f.Handler == "":
		add("handler", "name it as "+kind.example, "runtime %s needs a handler", f.Runtime)
	case len(f.Handler) > mostHandler || !handlerForm.MatchString(f.Handler):
		add("handler", "name it as "+kind.example, "%q is no handler", f.Handler)
	case ok && !kind.handler.MatchString(f.Handler):
		add("handler", "name it as "+kind.example, "%q is no handler of runtime %s", f.Handler, f.Runtime)
	}
	if f.Timeout < time.Second || f.Timeout > MostTimeout || f.Timeout%time.Second != 0 {
		add("timeout", "give whole seconds from 1s to 15m", "the timeout is %s", f.Timeout)
	}
	if f.Memory < LeastMemory || f.Memory > MostMemory {
		add("memory", fmt.Sprintf("give MB from %d to %d", LeastMemory, MostMemory), "the memory is %d MB", f.Memory)
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(f.Environment)) {
		size += len(name) + len(f.Environment[name])
		switch {
		case !variableName.MatchString(name):
			add("environment."+name, "begin with a letter; use letters, digits and _", "%q is no name of a variable", name)
		case slices.Contains(reserved, name) || strings.HasPrefix(name, "AWS_LAMBDA_"):
			add("environment."+name, "choose another name", "the variable %s is set by the runtime", name)
		case strings.ContainsRune(f.Environment[name], 0):
			add("environment."+name, "take the NUL character out", "the value of %s cannot be that of a variable", name)
		}
	}
	if size > mostEnvironment {
		add("environment", "keep long texts in the code, or fetch them", "the environment has %d bytes; there may be %d", size, mostEnvironment)
	}
	return problems
}

// NameOf is the name in what a definition calls a function: the name itself, or
// an ARN of it, in both cases perhaps with the version $LATEST behind it, which
// is the only one that there is.
func NameOf(reference string) (string, error) {
	name := reference
	if strings.HasPrefix(name, "arn:") {
		parts := strings.SplitN(name, ":", 7)
		if len(parts) < 7 || parts[2] != "lambda" || parts[5] != "function" {
			return "", fmt.Errorf("%q is no ARN of a function: write the function's name", reference)
		}
		name = parts[6]
	}
	name, version, _ := strings.Cut(name, ":")
	if version != "" && version != "$LATEST" {
		return "", fmt.Errorf("%q asks for version or alias %s: functions have none here but $LATEST; write the function's name", reference, version)
	}
	if !functionName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a function", reference)
	}
	return name, nil
}
