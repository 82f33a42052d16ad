package journal

import "time"

// Passed is how much of a time that a step lets pass has passed already, over
// all processes that carried the step out.
type Passed struct {
	// Step is the step, as the runbook has it.
	Step string `json:"step"`
	// State is what the time is counted for: once it is another one, the time
	// begins anew. Empty for a step that waits for no state.
	State     string        `json:"state,omitempty"`
	Time      time.Duration `json:"time"` // in nanoseconds
	Reverting bool          `json:"reverting,omitempty"`
}

// PassedOf is how much of a step's time has passed while the state was this one.
func (e *Entry) PassedOf(step, state string) time.Duration {
	if p := e.passed(step); p != nil && p.State == state {
		return p.Time
	}
	return 0
}

// NotePassed notes how much of a step's time has passed. It is for Save to write.
func (e *Entry) NotePassed(step, state string, passed time.Duration) {
	p := e.passed(step)
	if p == nil {
		e.Passed = append(e.Passed, Passed{Step: step, Reverting: e.Phase == Reverting})
		p = &e.Passed[len(e.Passed)-1]
	}
	p.State, p.Time = state, passed
}

func (e *Entry) passed(step string) *Passed {
	for i := range e.Passed {
		if p := &e.Passed[i]; p.Step == step && p.Reverting == (e.Phase == Reverting) {
			return p
		}
	}
	return nil
}
