package function

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Config says how functions run on this machine.
type Config struct {
	// Program is the command line of a process that calls RunnerMain with the
	// one argument that is appended to it.
	Program []string
	// Dir keeps the code that is unpacked, the runtimes' shims, and who runs.
	Dir string
	// Code is where the files of functions come from.
	Code Code
	// Endpoint is where the functions' AWS SDKs send their requests: this
	// server. It is asked for each invocation.
	Endpoint func() string
	// UID is the first of Slots user and group IDs that belong to nobody else,
	// for where Towline is root. Default 63200.
	UID int
	// Slots is how many invocations run at a time, default 16. More wait.
	Slots int
	// Processes is how many processes and threads a function may have at once,
	// default 1024, as Lambda's.
	Processes int
	// Plain leaves out the namespaces, as where the system forbids them. Where
	// Towline is root, functions run as nobody then.
	Plain bool
	// Region and Account stand in the environment and in the ARNs of functions.
	Region, Account string
	// Environ is the server's environment, of which functions get the search
	// path and the settings for proxies.
	Environ []string
	Log     *slog.Logger
}

// Invocation is one event for one function.
type Invocation struct {
	ID       string // of the request, see NewID
	Function Function
	Event    json.RawMessage
	// Credentials are the function's for this server, and may be none.
	Credentials Credentials
	// Dir belongs to this invocation: given twice, it is the same invocation,
	// which is waited for and not made again.
	Dir string
	// LogFiles take what the function prints, in the form of report.Log. The
	// process that writes them outlives the server.
	LogFiles []string
}

// Credentials are a key in the form of AWS's, with a session.
type Credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken"`
}

// Outcome is how an invocation ended.
type Outcome struct {
	// Payload is what the handler answered; nil when Error is not.
	Payload json.RawMessage `json:"payload,omitempty"`
	Error   *Error          `json:"error,omitempty"`
	// Init is how long the function took until it asked for its event, and
	// Duration from then on.
	Init     time.Duration `json:"init"`
	Duration time.Duration `json:"duration"`
	Memory   int64         `json:"memory"`         // the most that its processes used together, in bytes
	Tail     []string      `json:"tail,omitempty"` // the last lines that it printed
}

// Error is how a function failed, in Lambda's words.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
	Trace   any    `json:"stackTrace,omitempty"`
	// Handled tells that the function itself reported it.
	Handled bool `json:"handled,omitempty"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// The types of errors that no function reports itself. They are Lambda's, but
// the last three.
const (
	ErrorTimeout  = "Sandbox.Timedout"
	ErrorExit     = "Runtime.ExitError"
	ErrorTooLarge = "Function.ResponseSizeTooLarge"
	ErrorEntry    = "Runtime.InvalidEntrypoint"
	ErrorMemory   = "Runtime.OutOfMemory"
	ErrorDisk     = "Towline.DiskFull"
	// ErrorProcesses is a fork bomb.
	ErrorProcesses = "Towline.TooManyProcesses"
	ErrorLost      = "Towline.Lost" // its process was killed, or the machine was restarted
)

// NewID is a new request's id, a random UUID.
func NewID() string { return uuid.NewString() }

// Payload is the error as who has invoked the function gets it.
func (e *Error) Payload() json.RawMessage {
	shown := *e
	shown.Handled = false
	text, err := json.Marshal(shown)
	if err != nil {
		return json.RawMessage(`{}`) // its trace came as JSON
	}
	return text
}
