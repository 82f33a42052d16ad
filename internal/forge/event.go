package forge

import "github.com/towline/towline/internal/pipeline"

// EventType is what has happened.
type EventType string

// The types of events. Other is signed as it should be, but nothing that
// Towline acts upon: a comment, a star, a label.
const (
	Ping             EventType = "ping"
	PushEvent        EventType = "push"
	PullRequestEvent EventType = "pull request"
	Other            EventType = "other"
)

// The most that one event may tell.
const (
	maxPaths          = 10_000
	maxPushes         = 1_000
	maxRepositoryName = 255
)

// Event is what a webhook tells, in one form for all forges.
type Event struct {
	Forge Kind
	Type  EventType
	// Delivery is the forge's name for this message; it is the same when the
	// message is sent again.
	Delivery string
	// Keys are what a replay is recognised by: the delivery and, for a pull
	// request, the digest of the body. Only GitLab signs the delivery's name,
	// so who has caught a message could send it under another. For a push that
	// leads to no more than a look at the branch; for a pull request it is
	// found out by the body, which holds the time of the change in all forges.
	Keys       []string
	Repository Repository
	// Pushes are the refs that were moved, set for PushEvent. All forges but
	// Bitbucket tell one ref at a time.
	Pushes []Push
	// PullRequest is set for PullRequestEvent.
	PullRequest *PullRequest
}

// Repository is the repository that an event is about. For a pull request it
// is the one that the change is meant for.
type Repository struct {
	Name     string // with its owner, such as acme/web or group/subgroup/web
	CloneURL string // over HTTP, as the forge tells it; may be empty
}

// Push is one ref that has moved.
type Push struct {
	Ref     string // whole, such as refs/heads/main or refs/tags/v1
	Before  string // object before; empty when the ref is new or it is not told
	After   string // object now; empty when the ref is gone. A tag may be an object of its own
	Deleted bool
	// Paths are the files that the forge names, at most 10,000. They are a hint
	// and not the difference of Before and After: no forge lists the commits of
	// a new branch or of a long push whole, or what a forced push takes away,
	// and Bitbucket lists nothing. Ask git before leaving something undone.
	Paths []string
	// Actor is the forge's id of the account that has pushed, "" where it is not
	// told. It is a name among others, and no proof of anything.
	Actor string
}

// PullRequest is a pull request, which GitLab calls a merge request.
type PullRequest struct {
	Number int
	Event  pipeline.PullRequestEvent // open includes open again, closed includes merged
	Merged bool
	Source string
	Target string
	// Head is the newest commit of the source branch. Bitbucket tells only its
	// first 12 digits.
	Head string
	// Before is the head before an update, where it is told (GitHub, GitLab).
	Before string
	// Fork says that the change comes out of another repository, or out of one
	// that is gone: it is written by people who may have no rights here.
	Fork bool
	// Ref is where the head can be fetched from in the target's repository;
	// empty for Bitbucket, which has no such ref.
	Ref   string
	Title string // one line, cleaned
	// Actor is the forge's id of the account that has done it, "" where it is not
	// told. It is a name among others, and no proof of anything.
	Actor string
	// Merge is the commit that has come of a merge, where it is told. Bitbucket
	// tells only its first 12 digits.
	Merge string
}
