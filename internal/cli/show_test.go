package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// TestNothingThatABuildSaysSteersTheTerminal puts an escape into all that an
// action may say of itself.
func TestNothingThatABuildSaysSteersTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\u009b2J"
	action := func(name string, status pipeline.Status, result *pipeline.Result) pipeline.ActionState {
		return pipeline.ActionState{Name: name, Status: status, Result: result}
	}
	e := client.Execution{Progress: map[string]string{"S/runs": evil}}
	e.Stages = []pipeline.StageState{{Name: "S", Actions: []pipeline.ActionState{
		action("runs", pipeline.StatusInProgress, nil),
		action("ran", pipeline.StatusSucceeded, &pipeline.Result{Outcome: pipeline.Succeeded, Summary: evil}),
		{Name: "waits", Status: pipeline.StatusInProgress, Waits: evil},
		action("failed", pipeline.StatusFailed, &pipeline.Result{Outcome: pipeline.Failed, Message: evil + "\nsecond\t" + evil}),
	}}}
	shown := strings.Join(append(showExecution(e, time.Now(), 0), failures(e)...), "\n")
	var log strings.Builder
	if _, err := (printableLines{&log}).Write([]byte("one\n" + evil + "\n")); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(log.String(), "one\n") || !strings.HasSuffix(log.String(), "\n") {
		t.Errorf("the log lost its lines: %q", log.String())
	}
	if !strings.Contains(shown, "waits for ") {
		t.Errorf("nothing is said of what waits:\n%s", shown)
	}
	for _, text := range []string{shown, log.String()} {
		if strings.ContainsAny(text, "\x1b\x07\u009b") {
			t.Errorf("control characters in %q", text)
		}
	}
}
