package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/towline/towline/internal/client"
)

func TestWhatIsWrongWithARequestIsTold(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"title": "Unprocessable Entity", "status": 422, "detail": "validation failed", "errors": [
			{"message": "expected value to be one of \"pipeline, stage\"", "location": "body.events[0]", "value": "secret"}, {"message": "too long", "location": "path.name"}]}`: `validation failed: events[0]: expected value to be one of "pipeline, stage"; path.name: too long`,
		`{"title": "Conflict", "status": 409, "detail": "web-7 has ended"}`: "web-7 has ended",
		`{"title": "Conflict", "status": 409}`:                              "Conflict",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, answer)
		}))
		_, err := client.New(srv.URL, "t").AddNotification(t.Context(), "team", client.NotificationRequest{})
		srv.Close()
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
