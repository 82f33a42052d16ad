package project

import (
	"regexp"
	"testing"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	first, second := NewID("web"), NewID("web")
	form := regexp.MustCompile(`^web:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)
	again := IDOf("web", "build web shop-1/Test/1/unit")
	for _, id := range []string{first, second, again} {
		if !form.MatchString(id) {
			t.Errorf("%s has another form than %s", id, form)
		}
	}
	if first == second {
		t.Errorf("two builds are both %s", first)
	}
	// A server that runs now has to find what an earlier one has begun.
	if want := "web:30963735-89bb-5b8b-8598-3f6953e3a248"; again != want {
		t.Errorf("what has been begun as %s is now looked for as %s", want, again)
	}
	if other := IDOf("web", "build web shop-1/Test/2/unit"); other == again {
		t.Errorf("two attempts are both %s", other)
	}
}
