package pipeline

import "context"

// Part is one build of a batch, as the batch's buildspec asks for it.
type Part struct {
	// Number is its place in the batch, from 0.
	Number int `json:"number"`
	// Identifier is letters, digits and underscores, unique in the batch.
	Identifier string `json:"identifier"`
	// DependsOn are the identifiers of those that end before it begins.
	DependsOn     []string `json:"dependsOn,omitempty"`
	IgnoreFailure bool     `json:"ignoreFailure,omitempty"` // the batch succeeds all the same
	// Buildspec is a path in the source, "" for the batch's own.
	Buildspec   string            `json:"buildspec,omitempty"`
	Image       string            `json:"image,omitempty"`
	Type        string            `json:"type,omitempty"` // of its environment: ARM_CONTAINER
	ComputeType string            `json:"computeType,omitempty"`
	Variables   map[string]string `json:"variables,omitempty"`
}

// Parts keeps what becomes of the builds of a batch. A Job carries it.
type Parts interface {
	// Plan is told of all builds before the first begins, and again when the job
	// is given again. Refused says why the batch may not run; "" lets it.
	Plan(ctx context.Context, parts []Part) (refused string, err error)
	// Part has one build run, at most once, by do, when it may; it returns what do
	// does, or what came of it earlier. Calls for different builds overlap.
	Part(ctx context.Context, p Part, job Job, do RunPart) (Result, error)
}

// RunPart runs one build of a batch as the job says, with further environment
// variables.
type RunPart func(ctx context.Context, job Job, env map[string]string) (Result, error)

// SecondaryOf is the name of a secondary artifact of a build of a batch, as
// CodePipeline has it.
func SecondaryOf(part, artifact string) string { return part + "_" + artifact }
