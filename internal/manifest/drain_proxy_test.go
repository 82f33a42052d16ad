package manifest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// proxyOf reads the settings of a case. The cluster is new unless it says so.
func proxyOf(t *testing.T, a archive) DrainProxy {
	t.Helper()
	p := DrainProxy{Image: "registry.example.com/towline-agent@sha256:1", Version: "v1.37.2"}
	if v, ok := a.settings["version"]; ok {
		p.Version = v
	}
	if text := a.settings["detach"]; text != "" {
		var err error
		if p.Detach, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if a.settings["live"] != "" {
		objs, err := Load(a.root(t), a.settings["live"])
		if err != nil {
			t.Fatal(err)
		}
		p.Live = objs
	}
	return p
}

func TestAddDrainProxy(t *testing.T) {
	t.Parallel()
	eachArchive(t, "drain", func(t *testing.T, a archive) {
		objs := a.load(t)
		proxy := proxyOf(t, a)
		before := bodies(t, objs)
		changes, err := AddDrainProxy(objs, proxy)
		if err != nil {
			a.expect(t, "want.error", err.Error())
			if diff := cmp.Diff(before, bodies(t, objs)); diff != "" {
				t.Errorf("a refusal changed something (-before +after)\n%s", diff)
			}
			return
		}
		a.expect(t, "want.changes", lines(changes))
		a.expect(t, "want.yaml", bodies(t, objs))
		again, err := AddDrainProxy(objs, proxy)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > 0 {
			t.Errorf("the second time: %s", lines(again))
		}
		Complete(objs, Recipe{})
		if _, err := AddDrainProxy(objs, proxy); err != nil {
			t.Errorf("after Complete: %v", err)
		}
	})
}
