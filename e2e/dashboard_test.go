package e2e_test

import "testing"

func TestDashboardIsForThoseWhoSignIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.visitor(t)
	b.visit("/pipelines/web?x=1")
	b.sees("Sign in")
	b.signIn("wrong", "Mallory")
	b.sees("neither the admin token nor an access key")
	b.signIn(s.api().Token(), "Grace Hopper")
	b.sees("No pipelines yet")
	b.sees("Grace Hopper")
	b.shown("first")
	b.click(".person summary")
	b.click(`form[action="/sign-out"] button`)
	b.sees("Sign in")
	b.visit("/")
	b.sees("Sign in")
	b.shown("sign-in")
}

func TestDashboardShowsItsParts(t *testing.T) {
	t.Parallel()
	s := start(t, "--components")
	b := s.open(t)
	b.visit("/ui/components")
	b.sees("Components")
	b.shown("components")
}
