package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

func unstructuredFrom(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	if text == "" {
		return nil
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestDiff(t *testing.T) {
	t.Parallel()
	eachArchive(t, "diff", func(t *testing.T, a archive) {
		got := lines(Diff(unstructuredFrom(t, a.text("live.yaml")), unstructuredFrom(t, a.text("merged.yaml"))))
		a.expect(t, "want.diff", got)
	})
}

func TestDiffOfEqualObjectsIsEmpty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := &unstructured.Unstructured{Object: rapid.MapOfN(rapid.String(), drawValue(3), 0, 5).Draw(t, "object")}
		if got := Diff(u, u.DeepCopy()); len(got) > 0 {
			t.Fatalf("%v", got)
		}
		before := u.DeepCopy()
		Diff(u, nil)
		if diff := cmp.Diff(before, u); diff != "" {
			t.Fatalf("changed (-want +got)\n%s", diff)
		}
	})
}

// Whatever stands under data and stringData, no part of it is shown.
func TestDiffNeverShowsTheValuesOfSecrets(t *testing.T) {
	t.Parallel()
	const mark = "s3cr3t"
	rapid.Check(t, func(t *rapid.T) {
		secret := func(name string) *unstructured.Unstructured {
			values := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]any{
				mark, "czNjcjN0", mark + "\n" + mark, []any{mark}, map[string]any{"x": mark}, nil, int64(7),
			}), 0, 3)
			object := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x",
				"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": mark}}}
			for _, field := range []string{"data", "stringData"} {
				if rapid.Bool().Draw(t, name+field) {
					object[field] = values.Draw(t, name+field+"values")
				} else if rapid.Bool().Draw(t, name+field+"wrong") {
					object[field] = rapid.SampledFrom([]any{mark, []any{mark}}).Draw(t, name+field+"is")
				}
			}
			return &unstructured.Unstructured{Object: object}
		}
		live, merged := secret("live"), secret("merged")
		if rapid.Bool().Draw(t, "new") {
			live = nil
		}
		for _, line := range Diff(live, merged) {
			if strings.Contains(line.Text, mark) || strings.Contains(line.Text, "czNjcjN0") {
				t.Fatalf("shows %s", line)
			}
		}
	})
}
