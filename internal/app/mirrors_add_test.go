package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
)

// TestReplacingAMirrorKeepsWhatIsNotGiven changes one thing of a mirror at a
// time.
func TestReplacingAMirrorKeepsWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	far := newForgeFarAway(t)
	a, _ := setup(t)
	first := far.request
	first.StatusToken, first.StatusAPI = "t0ken", "https://forge.example.com/api"
	if _, err := a.mirrors.Add(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	type state struct{ Forge, Interval, Password, StatusToken, StatusAPI string }
	replace := func(req client.MirrorRequest) state {
		t.Helper()
		req.Name, req.Replace = first.Name, true
		if req.URL == "" {
			req.URL = first.URL
		}
		if _, err := a.mirrors.Add(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		stored, secrets, err := a.mirrors.open(t.Context(), first.Name)
		if err != nil {
			t.Fatal(err)
		}
		return state{stored.Forge, stored.Interval.String(), secrets.Password, secrets.StatusToken, secrets.StatusAPI}
	}
	for _, c := range []struct {
		name string
		req  client.MirrorRequest
		want state
	}{
		{"nothing but its secret", client.MirrorRequest{}, state{"github", "24h0m0s", first.Password, "t0ken", first.StatusAPI}},
		{"its interval", client.MirrorRequest{Interval: "1h"}, state{"github", "1h0m0s", first.Password, "t0ken", first.StatusAPI}},
		{"the token for statuses", client.MirrorRequest{StatusToken: "new"}, state{"github", "1h0m0s", first.Password, "new", first.StatusAPI}},
		{"the forge", client.MirrorRequest{Forge: "gitea"}, state{"gitea", "1h0m0s", first.Password, "new", first.StatusAPI}},
		{"the forge's API, which the token was not given for", client.MirrorRequest{StatusAPI: "https://other.example.com/api"}, state{"gitea", "1h0m0s", first.Password, "", "https://other.example.com/api"}},
	} {
		if diff := cmp.Diff(c.want, replace(c.req)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	// Another server is not shown the password.
	other := newForgeFarAway(t)
	if _, err := a.mirrors.Add(t.Context(), client.MirrorRequest{Name: first.Name, URL: other.request.URL, Replace: true}); err == nil {
		t.Error("a server that wants a password was opened without one")
	}
	if diff := cmp.Diff(state{"", "1h0m0s", other.request.Password, "", ""}, replace(client.MirrorRequest{URL: other.request.URL, Password: other.request.Password})); diff != "" {
		t.Errorf("another server (-want +got):\n%s", diff)
	}
}
