package pipeline

import (
	"strings"
	"time"
)

// ChangeSet is what one event has changed in one execution, with what a
// receiver needs to know of the execution. It is kept as JSON until it has been
// told.
type ChangeSet struct {
	Pipeline  string        `json:"pipeline"`
	Version   int           `json:"version"` // of the definition
	Execution string        `json:"execution"`
	Number    int           `json:"number"`
	Type      ExecutionType `json:"type,omitempty"`
	// Attempt is 1, and one more for each retry that somebody asked for.
	Attempt int       `json:"attempt"`
	Started time.Time `json:"started"`
	// Sequence is the execution's, by which the set is known.
	Sequence int       `json:"sequence"`
	At       time.Time `json:"at"`
	Trigger  Trigger   `json:"trigger"`
	Revision Revision  `json:"revision"` // with the first line of its message
	Changes  []Change  `json:"changes"`
}

// NewChangeSet compares two versions of an execution, as Changes does. It is
// empty when a receiver would not see a difference.
func NewChangeSet(before, after Execution, at time.Time) ChangeSet {
	set := ChangeSet{
		Pipeline: after.Pipeline, Version: after.Definition.Version, Execution: after.ID, Number: after.Number, Type: after.Type,
		Attempt: 1, Started: after.Started, Sequence: after.Sequence, At: at, Trigger: after.Trigger, Revision: after.Revision,
		Changes: Changes(before, after),
	}
	for _, stage := range after.Stages {
		set.Attempt += stage.Manual
	}
	first, _, _ := strings.Cut(after.Revision.Message, "\n")
	set.Revision.Message = cut(first)
	return set
}
