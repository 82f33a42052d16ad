package pipeline_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	vars := map[string]map[string]string{"image": {"ImageURI": `r/web@sha256:1"2`}, "unit": {}}
	for name, c := range map[string]struct{ in, want, err string }{
		"nothing to resolve":            {`{"a":1}`, `{"a":1}`, ""},
		"no configuration":              {``, `{}`, ""},
		"nested, and quoted as JSON is": {`{"images":{"web":["#{image.ImageURI}"]}}`, `{"images":{"web":["r/web@sha256:1\"2"]}}`, ""},
		"two in one string":             {`["#{image.ImageURI}+#{image.ImageURI}"]`, `["r/web@sha256:1\"2+r/web@sha256:1\"2"]`, ""},
		"an unknown action":             {`["#{imag.ImageURI}"]`, "", `no action named "imag" has run; those that have: image, unit`},
		"an unknown variable":           {`["#{image.Image}"]`, "", "action image has set ImageURI"},
		"a shell variable is left":      {`["${HOME} #{ x }"]`, `["${HOME} #{ x }"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pipeline.Resolve(json.RawMessage(c.in), vars)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func FuzzResolve(f *testing.F) {
	f.Add(`{"a":"#{b.c}"}`)
	f.Add(`["#{b.c}#{", null, 1.5]`)
	f.Fuzz(func(t *testing.T, config string) {
		out, err := pipeline.Resolve(json.RawMessage(config), map[string]map[string]string{"b": {"c": "#{b.c}"}})
		if err == nil && !json.Valid(out) {
			t.Errorf("Resolve(%q) = %q, not JSON", config, out)
		}
	})
}
