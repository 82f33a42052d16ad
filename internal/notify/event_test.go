package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// sample is an execution's set of changes, with one change.
func sample(c pipeline.Change) pipeline.ChangeSet {
	at := time.Date(2026, 3, 2, 8, 0, 5, 123e6, time.UTC)
	return pipeline.ChangeSet{
		Pipeline: "web", Version: 3, Execution: "web-12", Number: 12, Attempt: 2, Started: at.Add(-time.Minute), Sequence: 9, At: at,
		Trigger:  pipeline.Trigger{Type: pipeline.TriggerPush, Detail: "main"},
		Revision: pipeline.Revision{Branch: "main", Commit: "0123456789", Message: "Mend it", Author: "ann"},
		Changes:  []pipeline.Change{c},
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	build := pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "AWS", Provider: "CodeBuild", Version: "1"}
	ran := time.Date(2026, 3, 2, 7, 59, 30, 5e6, time.UTC)
	envelope := func(id, about, detail string) string {
		return `{"version": "0", "id": "` + id + `", "detail-type": "CodePipeline ` + about + ` Execution State Change", "source": "aws.codepipeline",
			"account": "000000000000", "time": "2026-03-02T08:00:05Z", "region": "local", "resources": ["arn:aws:codepipeline:local:000000000000:web"], "detail": ` + detail + `}`
	}
	const id = "6b8777b7-273d-886a-a4cb-c91c1c9cb158"
	for name, c := range map[string]struct {
		change pipeline.Change
		about  string
		detail string
	}{
		"a pipeline starts": {
			pipeline.Change{Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeStarted, Started: ran}, "Pipeline",
			`{"pipeline": "web", "execution-id": "web-12", "start-time": "2026-03-02T07:59:30.005Z", "state": "STARTED", "version": 3, "pipeline-execution-attempt": 2,
			"execution-trigger": {"trigger-type": "WebhookV2", "trigger-detail": "main", "commit-id": "0123456789", "commit-message": "Mend it", "branch-name": "main", "author-display-name": "ann"}}`,
		},
		"a stage is tried again": {
			pipeline.Change{Kind: pipeline.ChangeOfStage, State: pipeline.ChangeResumed, Stage: "Test", Attempt: 2}, "Stage",
			`{"pipeline": "web", "execution-id": "web-12", "start-time": "2026-03-02T08:00:05.123Z", "stage": "Test", "state": "RESUMED", "version": 3, "pipeline-execution-attempt": 2,
			"stage-last-retry-attempt-time": "2026-03-02T08:00:05.123Z"}`,
		},
		"an action starts": {
			pipeline.Change{Kind: pipeline.ChangeOfAction, State: pipeline.ChangeStarted, Stage: "Test", Attempt: 2, Action: "unit", Type: build, Started: ran, Inputs: []pipeline.Artifact{{Name: "source", Digest: "sha256:a"}}}, "Action",
			`{"pipeline": "web", "execution-id": "web-12", "start-time": "2026-03-02T07:59:30.005Z", "stage": "Test", "action-execution-id": "web-12.Test.2.unit", "action": "unit",
			"input-artifacts": [{"name": "source", "digest": "sha256:a"}], "state": "STARTED", "region": "local",
			"type": {"owner": "AWS", "provider": "CodeBuild", "category": "Build", "version": "1"}, "version": 3, "pipeline-execution-attempt": 2}`,
		},
		"an action fails": {
			pipeline.Change{Kind: pipeline.ChangeOfAction, State: pipeline.ChangeFailed, Stage: "Test", Attempt: 2, Action: "unit", Type: build, Started: ran, Outcome: pipeline.Failed, Summary: "1 test failed"}, "Action",
			`{"pipeline": "web", "execution-id": "web-12", "start-time": "2026-03-02T07:59:30.005Z", "stage": "Test", "action-execution-id": "web-12.Test.2.unit", "action": "unit",
			"execution-result": {"external-execution-url": "https://towline.example.org/web-12", "external-execution-summary": "1 test failed", "error-code": "JobFailed"},
			"state": "FAILED", "region": "local", "type": {"owner": "AWS", "provider": "CodeBuild", "category": "Build", "version": "1"}, "version": 3, "pipeline-execution-attempt": 2}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(eventOf(sample(c.change), 0, origin{"000000000000", "local"}, "https://towline.example.org/web-12"))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(envelope(id, c.about, c.detail)), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheSignatureIsThatOfThePublishedExample takes the example that the
// libraries of Standard Webhooks are tested with.
func TestTheSignatureIsThatOfThePublishedExample(t *testing.T) {
	t.Parallel()
	key, err := Target{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}.key()
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestEventIDsAreOfOneChangeAlone(t *testing.T) {
	t.Parallel()
	first := sample(pipeline.Change{})
	again, later, anew, other := first, first, first, first
	later.Sequence++
	anew.Started = anew.Started.Add(time.Nanosecond) // a server that was set up again counts from 1
	other.Execution = "web-13"
	seen := map[string]bool{eventID(first, 0): true}
	if !seen[eventID(again, 0)] {
		t.Error("the same change has two ids")
	}
	for _, id := range []string{eventID(first, 1), eventID(later, 0), eventID(anew, 0), eventID(other, 0)} {
		if seen[id] {
			t.Errorf("two changes have id %s", id)
		}
		seen[id] = true
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	approval := pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}
	const commit = "main 0123456 Mend it (ann)"
	for name, c := range map[string]struct {
		change pipeline.Change
		want   message
	}{
		"a pipeline succeeds": {
			pipeline.Change{Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeSucceeded},
			message{"web #12 succeeded", []string{commit}},
		},
		"a pipeline fails": {
			pipeline.Change{Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeFailed, Stage: "Test", Action: "unit", Summary: "2 tests failed\n\n  a\x1b[31mb\u202e"},
			message{"web #12 failed: action unit in stage Test", []string{"2 tests failed", "a[31mb", commit}},
		},
		"a condition fails a pipeline": {
			pipeline.Change{Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeFailed, Stage: "Test", Summary: "condition ON_SUCCESS is not met"},
			message{"web #12 failed: stage Test", []string{"condition ON_SUCCESS is not met", commit}},
		},
		"somebody has to approve": {
			pipeline.Change{Kind: pipeline.ChangeOfAction, State: pipeline.ChangeStarted, Stage: "Deploy", Action: "go-ahead", Type: approval, Comment: "look at staging", Link: "https://staging.example.org/"},
			message{"web #12 waits for an approval: go-ahead in stage Deploy", []string{
				"look at staging", "https://staging.example.org/", commit, "decide with: towline approve web-12 go-ahead, or towline reject web-12 go-ahead",
			}},
		},
		"somebody has approved": {
			pipeline.Change{Kind: pipeline.ChangeOfAction, State: pipeline.ChangeSucceeded, Stage: "Deploy", Action: "go-ahead", Type: approval, Summary: "approved by ann"},
			message{"web #12: go-ahead in stage Deploy was approved", []string{"approved by ann", commit}},
		},
		"a long failure is cut": {
			pipeline.Change{Kind: pipeline.ChangeOfStage, State: pipeline.ChangeFailed, Stage: "Test", Summary: strings.Repeat("line\n", 20)},
			message{"web #12: stage Test failed", append(append(strings.Split(strings.Repeat("line ", 11)+"line", " "), "..."), commit)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := sample(c.change)
			if diff := cmp.Diff(c.want, messageOf(set, set.Changes[0], "")); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPausesDoubleUpToAnHour(t *testing.T) {
	t.Parallel()
	longest := firstPause
	for attempts := 1; attempts < 100; attempts++ {
		if got := pauseBefore(attempts); got < longest/2 || got > longest {
			t.Errorf("after %d attempts: %s, want up to %s", attempts, got, longest)
		}
		longest = min(2*longest, longestPause)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "90": 90 * time.Second, "-1": 0, "99999999999": longestPause, "soon": 0,
		"Mon, 02 Mar 2026 08:05:00 GMT": 5 * time.Minute, "Mon, 02 Mar 2026 07:05:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// FuzzMessages: whatever a commit or a failing command says, a message has no
// more lines than it is made of, and a chat is given nothing to act on.
func FuzzMessages(f *testing.F) {
	f.Add("Mend it", "1 test failed\nhere")
	f.Add("<!channel> @here", "\x1b[31m\r\n\u2028\u202e")
	f.Add("\xff", strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, subject, summary string) {
		c := pipeline.Change{Kind: pipeline.ChangeOfAction, State: pipeline.ChangeFailed, Stage: subject, Action: subject, Summary: summary, Comment: summary, Link: subject}
		set := sample(c)
		set.Revision.Message, set.Revision.Author = subject, subject
		said := messageOf(set, c, "")
		for _, line := range append([]string{said.Title}, said.Lines...) {
			if strings.ContainsAny(line, "\r\n\x1b\u2028\u202e") || len([]rune(line)) > maxLine {
				t.Errorf("line %q", line)
			}
		}
		if len(said.Lines) > 2*maxLines+4 {
			t.Errorf("%d lines", len(said.Lines))
		}
		body, err := slackBody(said)
		if err != nil {
			t.Fatal(err)
		}
		var sent struct{ Text string }
		if err := json.Unmarshal(body, &sent); err != nil || strings.ContainsAny(sent.Text, "<>") || strings.Count(sent.Text, "\n") != len(said.Lines) || strings.Contains(sent.Text, "@here") {
			t.Errorf("chat is sent %q, %v", sent.Text, err)
		}
	})
}

// FuzzRetryAfter: no header puts an attempt off for longer than the longest
// pause, or into the past.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "120", "-5", "999999999999999999999", "Mon, 02 Mar 2026 08:05:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := retryAfter(text, time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)); got < 0 || got > longestPause {
			t.Errorf("%q: %s", text, got)
		}
	})
}
