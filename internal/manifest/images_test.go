package manifest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetImages(t *testing.T) {
	t.Parallel()
	eachArchive(t, "images", func(t *testing.T, a archive) {
		objs := a.load(t)
		before := bodies(t, objs)
		var images map[string]string
		if err := json.Unmarshal([]byte(a.settings["images"]), &images); err != nil {
			t.Fatal(err)
		}
		changes, err := SetImages(objs, images)
		if err != nil {
			a.expect(t, "want.error", err.Error())
			if diff := cmp.Diff(before, bodies(t, objs)); diff != "" {
				t.Errorf("changed in spite of the error (-before +after)\n%s", diff)
			}
			return
		}
		a.expect(t, "want.changes", lines(changes))
		again, err := SetImages(objs, images)
		if err != nil || len(again) > 0 {
			t.Errorf("the second time: %v, %v", again, err)
		}
	})
}

func TestImageReferences(t *testing.T) {
	t.Parallel()
	digest := "@sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc"
	for _, tc := range []struct{ image, repository, tag string }{
		{"web", "web", ""},
		{"web:1", "web", "1"},
		{"localhost:5000/web", "localhost:5000/web", ""},
		{"localhost:5000/a/web:1.2-rc_3", "localhost:5000/a/web", "1.2-rc_3"},
		{"localhost:5000/web" + digest, "localhost:5000/web", ""},
		{"localhost:5000/web:1" + digest, "localhost:5000/web", "1"},
		{"[::1]:5000/web:1", "[::1]:5000/web", "1"},
		{"", "", ""},
	} {
		if got := [2]string{Repository(tc.image), Tag(tc.image)}; got != [2]string{tc.repository, tc.tag} {
			t.Errorf("%q is %q, want %q %q", tc.image, got, tc.repository, tc.tag)
		}
		if tc.image != "" && !imageReference.MatchString(tc.image) {
			t.Errorf("%q is taken for no reference", tc.image)
		}
	}
}
