package plan

import "testing"

func TestOwnsField(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"f:metadata":{},"f:spec":{"f:replicas":{},"f:template":{"f:spec":{}}}}`)
	for _, c := range []struct {
		path []string
		want bool
	}{
		{[]string{"f:spec", "f:replicas"}, true},
		{[]string{"f:spec", "f:paused"}, false},
		{[]string{"f:status", "f:replicas"}, false},
		{nil, true},
	} {
		if got := ownsField(raw, c.path...); got != c.want {
			t.Errorf("ownsField(%v) = %t, want %t", c.path, got, c.want)
		}
	}
}

// FuzzOwnsField: managedFields come from the cluster, in whatever form.
func FuzzOwnsField(f *testing.F) {
	f.Add([]byte(`{"f:spec":{"f:replicas":{}}}`))
	f.Add([]byte(`{"f:spec":[1]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ownsField(raw, "f:spec", "f:replicas") && !ownsField(raw, "f:spec") {
			t.Errorf("%q: owns a field and not what holds it", raw)
		}
	})
}
