package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// TestFollowSaysWhyALogIsNotShown follows an execution whose log the server
// cannot give.
func TestFollowSaysWhyALogIsNotShown(t *testing.T) {
	t.Parallel()
	e := client.Execution{Execution: pipeline.Execution{ID: "web-1", Status: pipeline.ExecutionSucceeded, Stages: []pipeline.StageState{
		{Name: "S", Attempt: 1, Actions: []pipeline.ActionState{{Name: "a", Status: pipeline.StatusSucceeded}}},
	}}}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/watch") {
			fmt.Fprintf(w, "data: %s\n\n", text)
			return
		}
		http.Error(w, "the disk is broken", http.StatusInternalServerError)
	}))
	defer server.Close()
	var talk strings.Builder
	c := &command{Invocation: Invocation{Err: &talk}}
	if _, err := c.follow(t.Context(), client.New(server.URL, "t"), "web-1"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(talk.String(), "S/a │ the rest of this log is not shown: ") || !strings.Contains(talk.String(), "the disk is broken") {
		t.Errorf("it says\n%s", talk.String())
	}
}
