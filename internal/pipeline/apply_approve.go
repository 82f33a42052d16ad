package pipeline

import (
	"crypto/sha256"
	"fmt"
)

// ApprovalToken is what an approval of this attempt of an action is given by,
// in the form of a UUID. It is there so that a decision about an earlier
// attempt is not taken for one about this; it is no secret.
func ApprovalToken(execution, stage string, attempt int, action string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %q", execution, stage, attempt, action))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (m *machine) decide(ev Approved) error {
	e, stage, err := m.findStage(ev.Execution, ev.Stage)
	if err != nil {
		return err
	}
	about := fmt.Sprintf("action %s of stage %s of %s", ev.Action, ev.Stage, ev.Execution)
	for i := range stage.Actions {
		action := &stage.Actions[i]
		if action.Name != ev.Action {
			continue
		}
		switch {
		case !action.Type.Manual():
			return fmt.Errorf("%s is no manual approval: %w", about, ErrStale)
		case ev.Token != ApprovalToken(e.ID, stage.Name, action.Attempt, action.Name):
			return fmt.Errorf("%s: %w", about, ErrBadToken)
		case action.Status == StatusSucceeded || action.Status == StatusFailed:
			return fmt.Errorf("%s: %w", about, ErrAlreadyDecided)
		case e.Done() || action.Status != StatusInProgress:
			return fmt.Errorf("%s: %w", about, ErrStale)
		}
		action.By = ev.By
		m.close(e, action, decision(ev), ev.At)
		m.advance(e, stage, ev.At, false)
		return nil
	}
	return fmt.Errorf("%s: no such action: %w", about, ErrStale)
}

// decision is how an approval ends.
func decision(ev Approved) Result {
	said := ev.Summary
	if said != "" {
		said = ": " + said
	}
	if !ev.Yes {
		return Result{Outcome: Failed, Summary: "rejected by " + ev.By, Message: "rejected by " + ev.By + said}
	}
	return Result{Outcome: Succeeded, Summary: "approved by " + ev.By + said}
}
