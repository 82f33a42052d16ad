package definition

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference is what looks like a variable, also one that is not complete.
var reference = regexp.MustCompile(`#\{([^}.]*)\.?([^}]*)\}`)

// references checks that variables come from earlier actions, so that a typing
// error is found at the push and not at the deployment. The paths within a
// configuration are those of the file.
func (c *compiler) references(at string, configuration json.RawMessage) {
	if len(configuration) == 0 {
		return
	}
	document, err := treeOf(configuration)
	if err != nil {
		c.problem(at, "", "the configuration cannot be read: %v", err)
		return
	}
	document.strings(at, func(path, text string) {
		for _, found := range reference.FindAllStringSubmatch(text, -1) {
			c.reference(path, found[0], found[1], found[2])
		}
	})
}

func (c *compiler) reference(at, whole, namespace, name string) {
	switch {
	case namespace == "codepipeline":
		if name != "PipelineExecutionId" {
			c.problem(at, "there is #{codepipeline.PipelineExecutionId}", "%s is not known of the execution", whole)
		}
	case namespace == "variables":
		if !slices.Contains(c.known.variables, name) {
			hint := `declare it at the top: "variables: {` + name + `: DEFAULT}"`
			if len(c.known.variables) > 0 {
				hint = "declared are " + strings.Join(c.known.variables, ", ")
			}
			c.problem(at, hint, "%s is not declared", whole)
		}
	case !slices.Contains(c.known.namespaces, namespace):
		hint := "no action comes before"
		if len(c.known.namespaces) > 0 {
			hint = "earlier actions are " + strings.Join(slices.Compact(slices.Clone(c.known.namespaces)), ", ")
		}
		c.problem(at, hint, "%s refers to no earlier action", whole)
	}
}

// strings calls a function for each string that is a value, with its path.
func (t *tree) strings(path string, visit func(path, text string)) {
	switch t.kind {
	case text:
		visit(path, t.text)
	case list:
		for i, value := range t.values {
			value.strings(fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case mapping:
		for i, value := range t.values {
			value.strings(path+"."+t.keys[i], visit)
		}
	}
}
