package manifest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadWith(t *testing.T) {
	t.Parallel()
	eachArchive(t, "substitute", func(t *testing.T, a archive) {
		var variables map[string]string
		if err := json.Unmarshal([]byte(a.settings["variables"]), &variables); err != nil {
			t.Fatal(err)
		}
		objs, err := LoadWith(a.root(t), a.settings["path"], variables)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("the error is not the user's: %v", err)
			}
			a.expect(t, "want.error", err.Error())
			return
		}
		a.expect(t, "want.yaml", bodies(t, objs))
	})
}

func TestLoadWithoutVariablesKeepsTheText(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '$${X} ${Y}'}\n"})
	objs, err := LoadWith(root, "a.yaml", nil)
	if err != nil || stringAt(objs[0].Object, "data", "a") != "$${X} ${Y}" {
		t.Errorf("%v, %v", objs, err)
	}
}

// shapeOf is a value without its scalars.
func shapeOf(v any) any {
	switch v := v.(type) {
	case []any:
		shape := make([]any, len(v))
		for i := range v {
			shape[i] = shapeOf(v[i])
		}
		return shape
	case map[string]any:
		shape := map[string]any{}
		for key := range v {
			shape[key] = shapeOf(v[key])
		}
		return shape
	}
	return nil
}

// FuzzSubstitute: whatever a variable holds, the structure stays the same, and
// so does every value that has no variable.
func FuzzSubstitute(f *testing.F) {
	seeds(f, func(_, text string) { f.Add(text, "3") })
	for _, value := range []string{"a: b", "\n- x\n---\nkind: Pod", `"`, "'", "{", "*a", "&a", "!!int 3", "# x", "${X}", "|", "yes", "0x1F", "1_0", "~", ".inf", "\t", "\xff"} {
		f.Add("apiVersion: v1\nkind: X\na: ${X}\nb: \"${X}\"\nc: [x${X}, '${X}y']\nd: |\n  ${X}\n$${X}: 1\n", value)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, d := range splitDocuments("in.yaml", []byte(text)) {
			before, err := d.decode()
			if err != nil {
				continue
			}
			after, err := d.decode()
			if err != nil {
				t.Fatal(err)
			}
			after, err = d.substitute(after, map[string]string{"X": value})
			var located *Error
			if err != nil && (!errors.As(err, &located) || located.Source.Line < 1 || located.Column < 1) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(shapeOf(before), shapeOf(after)); diff != "" {
				t.Fatalf("structure (-before +after)\n%s", diff)
			}
			checkScalars(t, before, after)
		}
	})
}

func checkScalars(t *testing.T, before, after any) {
	switch b := before.(type) {
	case []any:
		for i := range b {
			checkScalars(t, b[i], after.([]any)[i])
		}
	case map[string]any:
		for key := range b {
			checkScalars(t, b[key], after.(map[string]any)[key])
		}
	default:
		if s, ok := before.(string); ok && variable.MatchString(s) {
			if after == nil {
				t.Fatalf("%q became null", s)
			}
			return
		}
		if !cmp.Equal(before, after) {
			t.Fatalf("%v became %v", before, after)
		}
	}
}
