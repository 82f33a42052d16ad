package host_test

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/pipeline"
)

// TestAServiceThatIsNotHere says what there is instead.
func TestAServiceThatIsNotHere(t *testing.T) {
	t.Parallel()
	h := newHost(t, false)
	for name, c := range map[string]struct {
		service build.Service
		want    string
	}{
		"another engine":  {build.Service{Name: "db", Engine: pipeline.EngineMySQL}, "there is no MySQL server on this machine, but MariaDB"},
		"another version": {build.Service{Name: "db", Engine: pipeline.EnginePostgres, Version: "9"}, "service db wants version 9 of postgres, this machine has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := buildtest.New(t, "true")
			b.Services = []build.Service{c.service}
			if _, err := h.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
