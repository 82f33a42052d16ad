package manifest

import (
	"testing"
)

func TestAnObjectStandsAtItsFirstLine(t *testing.T) {
	t.Parallel()
	const object = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"at the beginning":           {object, 1},
		"after comments":             {"# a\n\n  # b\n" + object, 4},
		"after its marker":           {"---\n# a\n" + object, 3},
		"beside its marker":          {"--- {kind: ConfigMap, apiVersion: v1, metadata: {name: a}}\n", 1},
		"after a directive":          {"%YAML 1.1\n---\n" + object, 3},
		"in quotes":                  {"\n\"kind\": ConfigMap\napiVersion: v1\nmetadata: {name: a}\n", 2},
		"after an anchor":            {"# a\n&x\n" + object, 2},
		"after a tag":                {"--- !!map\n" + object, 1},
		"with a complex key":         {"\n? kind\n: ConfigMap\n? apiVersion\n: v1\n? metadata\n: {name: a}\n", 2},
		"indented":                   {"\n  kind: ConfigMap\n  apiVersion: v1\n  metadata: {name: a}\n", 2},
		"of a list":                  {"kind: List\napiVersion: v1\nitems:\n\n- kind: ConfigMap\n  apiVersion: v1\n  metadata: {name: a}\n", 5},
		"in the second document":     {"# nothing\n---\n\n" + object, 4},
		"with an alias on the way":   {"metadata: &m {name: a}\nkind: ConfigMap\napiVersion: v1\nextra: *m\n", 1},
		"after a byte order mark":    {"\ufeff\n" + object, 2},
		"with a key that is no word": {"\n0: x\n" + object, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objs, err := parse("in.yaml", []byte(c.text), nil)
			if err != nil || len(objs) != 1 {
				t.Fatalf("%d objects: %v", len(objs), err)
			}
			if got := objs[0].Source.Line; got != c.line {
				t.Errorf("line %d, want %d", got, c.line)
			}
		})
	}
}

// FuzzLine: the line of a document is where its nodes say that it starts.
func FuzzLine(f *testing.F) {
	seeds(f, func(_, text string) { f.Add(text) })
	for _, text := range []string{
		"--- !!map\n# a\nkind: a\n", "&x\n\n# c\nkind: a\n", "!!map &x\nkind: a\n", "? |\n  kind\n: a\n", "--- # c\n&a\n!!map\nkind: x\n",
		"%TAG ! tag:x,2000:\n--- !a\nkind: x\n", "---\n\n--- &a\nkind: x\n", "\"a\n  b\": c\n", "&x kind: a\n", "--- &x\n kind: a\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range splitDocuments("in.yaml", []byte(text)) {
			value, err := d.decode()
			if _, ok := value.(map[string]any); err != nil || !ok || d.root() == nil {
				continue
			}
			if got, want := d.line(), d.first+d.root().Line-1; got != want {
				t.Errorf("line %d, want %d of %q", got, want, d.text)
			}
		}
	})
}
