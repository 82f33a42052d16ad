package manifest

import (
	"testing"
	"time"
)

func recipeOf(t *testing.T, a archive) Recipe {
	t.Helper()
	r := Recipe{ReadinessPath: a.settings["readiness"], ReadinessService: a.settings["service"], NoSleepAction: a.settings["old cluster"] != ""}
	for name, d := range map[string]*time.Duration{"detach": &r.Detach, "longest": &r.LongestRequest} {
		if text := a.settings[name]; text != "" {
			var err error
			if *d, err = time.ParseDuration(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

func TestComplete(t *testing.T) {
	t.Parallel()
	eachArchive(t, "complete", func(t *testing.T, a archive) {
		objs := a.load(t)
		changes := Complete(objs, recipeOf(t, a))
		a.expect(t, "want.changes", lines(changes))
		a.expect(t, "want.yaml", bodies(t, objs))
		for _, c := range Complete(objs, recipeOf(t, a)) {
			if c.Kind != Warned {
				t.Errorf("the second time: %s", c)
			}
		}
	})
}
