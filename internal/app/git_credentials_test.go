package app

import (
	"testing"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/store"
)

func TestBuildsGetTheCredentialOfTheirMirror(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	for url, secrets := range map[string]mirrorSecrets{
		"https://git.example.com:8443/closed.git": {Username: "bot", Password: "opens-it"},
		"https://git.example.com/token.git":       {Password: "opens-it"},
		"https://git.example.com/public.git":      {},
		"http://git.example.com/plain.git":        {Username: "bot", Password: "opens-it"},
	} {
		if err := a.mirrors.keep(t.Context(), store.Mirror{Name: url, URL: url, Interval: time.Hour, Created: time.Now()}, secrets, false); err != nil {
			t.Fatal(err)
		}
	}
	for url, want := range map[string]build.GitCredential{
		"https://git.example.com:8443/closed.git": {Host: "git.example.com:8443", User: "bot", Password: "opens-it"},
		"https://git.example.com/token.git":       {Host: "git.example.com", User: "git", Password: "opens-it"},
		"https://git.example.com/public.git":      {},
		"http://git.example.com/plain.git":        {}, // which would show it to everybody on the way
		"nowhere":                                 {},
	} {
		got, ok, err := a.mirrors.GitCredential(t.Context(), url)
		if err != nil || ok != (want != build.GitCredential{}) || got != want {
			t.Errorf("%s: %+v, %t, %v", url, got, ok, err)
		}
	}
}
