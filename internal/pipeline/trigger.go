package pipeline

// On says which changes start an execution. A change that any of its filters
// lets through does.
type On struct {
	Push        []PushFilter        `json:"push,omitempty"`
	PullRequest []PullRequestFilter `json:"pullRequest,omitempty"`
	Schedule    []Schedule          `json:"schedule,omitempty"`
}

// Globs let names through: those that one of Includes matches, all when there
// are none, without those that one of Excludes matches.
type Globs struct {
	Includes []string `json:"includes,omitempty"` // up to 8
	Excludes []string `json:"excludes,omitempty"` // up to 8
}

// Empty tells that nothing was said.
func (g *Globs) Empty() bool { return g == nil || len(g.Includes)+len(g.Excludes) == 0 }

// PushFilter lets pushes through. What is nil does not matter, but a push of a
// tag needs Tags, and one of a branch must not have it alone.
type PushFilter struct {
	// Source is the action whose repository is meant; "" is the first.
	Source   string `json:"source,omitempty"`
	Branches *Globs `json:"branches,omitempty"`
	Tags     *Globs `json:"tags,omitempty"`
	Paths    *Globs `json:"filePaths,omitempty"` // at least one changed file
}

// PullRequestFilter lets what happens to pull requests through.
type PullRequestFilter struct {
	Source   string             `json:"source,omitempty"`   // as of a PushFilter
	Events   []PullRequestEvent `json:"events,omitempty"`   // none means all
	Branches *Globs             `json:"branches,omitempty"` // that it is to be merged into
	Paths    *Globs             `json:"filePaths,omitempty"`
}

// PullRequestEvent is what happened to a pull request.
type PullRequestEvent string

// The events of pull requests.
const (
	PullRequestOpen    PullRequestEvent = "OPEN"
	PullRequestUpdated PullRequestEvent = "UPDATED"
	PullRequestClosed  PullRequestEvent = "CLOSED"
)

// Schedule starts an execution of the newest revision at certain times.
type Schedule struct {
	Cron     string `json:"cron"`               // five fields, as in crontab(5)
	TimeZone string `json:"timeZone,omitempty"` // such as Europe/Berlin; "" is UTC
}
