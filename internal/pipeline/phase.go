package pipeline

// Phase is how one phase of a build went.
type Phase struct {
	Name    string  `json:"name"` // install, pre_build, build or post_build
	Seconds float64 `json:"seconds"`
	// Failure says why the phase has failed, "" when it has not.
	Failure  string `json:"failure,omitempty"`
	TimedOut bool   `json:"timedOut,omitempty"` // the build's time was up in it
}
