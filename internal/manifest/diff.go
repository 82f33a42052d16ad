package manifest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// DiffKind says what a line of a difference is.
type DiffKind string

// The kinds of lines, which are also what a line starts with in plain text.
const (
	DiffSame    DiffKind = " "
	DiffAdded   DiffKind = "+"
	DiffRemoved DiffKind = "-"
	// DiffPlace comes before lines that belong together, and its text is the
	// path to them, such as spec.template.spec.
	DiffPlace DiffKind = "@"
)

// DiffLine is one line of a difference: a line of YAML without its line end.
type DiffLine struct {
	Kind DiffKind
	Text string
}

// String is the line as plain text has it; colours are the caller's.
func (l DiffLine) String() string {
	if l.Kind == DiffPlace {
		return strings.TrimSpace("@@ " + l.Text)
	}
	return string(l.Kind) + " " + l.Text
}

// Diff is how merged, what the API server would make of an object (a dry run),
// differs from live, with three lines around each change. A nil live is an
// object that is new, a nil merged one that goes; it is empty when both say the
// same.
//
// What the cluster writes by itself is left out: status, managedFields, uid,
// resourceVersion and the like, as well as Towline's own revision. The values
// of a Secret are never shown, in no form: only that they change.
func Diff(live, merged *unstructured.Unstructured) []DiffLine {
	before, after := shown(live), shown(merged)
	if isSecret(live) || isSecret(merged) {
		hide(before, after)
	}
	old, err := diffText(before)
	if err != nil {
		return []DiffLine{{Kind: DiffPlace, Text: "cannot be shown: " + err.Error()}}
	}
	text, err := diffText(after)
	if err != nil {
		return []DiffLine{{Kind: DiffPlace, Text: "cannot be shown: " + err.Error()}}
	}
	return diffLines(old, text)
}

// noise are the fields of metadata that the cluster writes, and the labels and
// annotations that change without anybody's asking.
var noise = struct{ metadata, labels, annotations []string }{
	metadata:    []string{"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"},
	labels:      []string{SequenceLabel},
	annotations: []string{"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"},
}

// shown is a copy of an object without noise; nil for nil.
func shown(u *unstructured.Unstructured) map[string]any {
	if u == nil || u.Object == nil {
		return nil
	}
	object := u.DeepCopy().Object
	delete(object, "status")
	metadata, ok := mapAt(object, "metadata")
	if !ok {
		return object
	}
	without(metadata, noise.metadata)
	for field, names := range map[string][]string{"labels": noise.labels, "annotations": noise.annotations} {
		if values, ok := mapAt(metadata, field); ok {
			if without(values, names); len(values) == 0 {
				delete(metadata, field)
			}
		}
	}
	return object
}

func without(m map[string]any, fields []string) {
	for _, f := range fields {
		delete(m, f)
	}
}

func isSecret(u *unstructured.Unstructured) bool { return u != nil && isKind(u, "", "Secret") }

// hide puts words for the values of a Secret on both sides, other words where
// they differ. stringData is what data will be.
func hide(before, after map[string]any) {
	old, values := secretValues(before), secretValues(after)
	for key := range old {
		word := "(hidden)"
		if value, ok := values[key]; ok && value != old[key] {
			word = "(hidden, before)"
		}
		setNested(before, word, "data", key)
	}
	for key := range values {
		word := "(hidden)"
		if value, ok := old[key]; ok && value != values[key] {
			word = "(hidden, after)"
		}
		setNested(after, word, "data", key)
	}
}

// secretValues takes the values out of a Secret, in base64.
func secretValues(object map[string]any) map[string]string {
	values := map[string]string{}
	data, _ := mapAt(object, "data")
	for key, v := range data {
		values[key] = fmt.Sprint(v)
	}
	text, _ := mapAt(object, "stringData")
	for key, v := range text {
		values[key] = base64.StdEncoding.EncodeToString(fmt.Append(nil, v))
	}
	if object != nil {
		without(object, []string{"data", "stringData"})
	}
	return values
}

func diffText(object map[string]any) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	// sigs.k8s.io/yaml refuses control characters, which a ConfigMap may have.
	return kyaml.MarshalWithOptions(object, &kyaml.EncoderOptions{SeqIndent: kyaml.CompactSequenceStyle})
}

// diffLines compares two texts. The unified form comes from a library; its
// line numbers become paths, since nobody has seen the lines before.
func diffLines(old, text []byte) []DiffLine {
	unified := strings.Split(strings.TrimSuffix(string(diff.Diff("live", old, "merged", text)), "\n"), "\n")
	oldLines, newLines := strings.Split(string(old), "\n"), strings.Split(string(text), "\n")
	var result []DiffLine
	var oldAt, newAt, place int                           // the lines that come next, and the DiffPlace without a text
	for _, line := range unified[min(3, len(unified)):] { // after the names of the files
		kind := DiffKind(line[:min(1, len(line))])
		switch kind {
		case DiffPlace:
			oldAt, newAt = startsOf(line)
			place = len(result)
			result = append(result, DiffLine{Kind: DiffPlace})
			continue
		case DiffSame:
			oldAt, newAt = oldAt+1, newAt+1
		case DiffAdded, DiffRemoved:
			if place >= 0 && kind == DiffAdded {
				result[place].Text = pathAt(newLines, newAt)
			} else if place >= 0 {
				result[place].Text = pathAt(oldLines, oldAt)
			}
			place = -1
		default:
			continue // such as "\ No newline at end of file"
		}
		result = append(result, DiffLine{Kind: kind, Text: line[1:]})
	}
	return result
}

// startsOf are the indexes of the first lines after "@@ -7,6 +7,8 @@".
func startsOf(header string) (old, merged int) {
	starts := [2]int{}
	for i, field := range strings.Fields(header)[1:3] {
		first, _, _ := strings.Cut(field[1:], ",")
		if n, err := strconv.Atoi(first); err == nil {
			starts[i] = max(0, n-1)
		}
	}
	return starts[0], starts[1]
}

// pathAt is the path of the mappings around a line of YAML whose lists are
// compact: elements of a list are as far to the right as its key.
func pathAt(lines []string, n int) string {
	if n >= len(lines) {
		return ""
	}
	var path []string
	depth := keyDepth(lines[n])
	for i := n - 1; i >= 0 && depth > 0; i-- {
		line := lines[i]
		key, ok := strings.CutSuffix(strings.TrimLeft(line, " -"), ":")
		if !ok || keyDepth(line) >= depth {
			continue
		}
		path = append(path, key)
		depth = keyDepth(line)
	}
	slices.Reverse(path)
	return strings.Join(path, ".")
}

// keyDepth is where the key of a line starts, after the dashes of lists.
func keyDepth(line string) int { return len(line) - len(strings.TrimLeft(line, " -")) }
