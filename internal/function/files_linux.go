package function

// The files of an invocation, in its directory.
const (
	instructionsFile = "in.json" // holds credentials; the runner removes it
	resultFile       = "result.json"
	boxDir           = "box" // what the function may write
)

// instructions are what a runner needs to know.
type instructions struct {
	Invocation Invocation `json:"invocation"`
	Code       string     `json:"code"`  // directory of the function's files
	Shims      string     `json:"shims"` // directory of the runtimes' shims
	Program    string     `json:"program"`
	User       int        `json:"user"` // user and group ID of the function, -1 for the runner's own
	Processes  int        `json:"processes"`
	Boxed      bool       `json:"boxed"`
	Endpoint   string     `json:"endpoint"`
	Region     string     `json:"region"`
	Account    string     `json:"account"`
	Environ    []string   `json:"environ"`
}

// result is how a runner ended.
type result struct {
	Outcome Outcome `json:"outcome"`
	// Fault says why the function could not be run, and is empty when it could.
	Fault string `json:"fault,omitempty"`
}
