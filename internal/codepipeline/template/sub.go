package template

import (
	"regexp"
	"strings"
)

// variable is ${Name} in the text of Fn::Sub; ${!Name} stands for ${Name}.
var variable = regexp.MustCompile(`\$\{[^{}$]*\}`)

func (e *evaluator) sub(c call) Value {
	text := c.argument
	var names *node
	if c.argument.kind == sequence {
		args := c.arguments(2, 2)
		text, names = args[0], args[1]
	}
	if text.kind != scalar || names != nil && names.kind != mapping {
		panic(c.bad("it takes a text, or a list of a text and an object"))
	}
	out := variable.ReplaceAllStringFunc(text.text, func(found string) string {
		name := strings.TrimSpace(found[2 : len(found)-1])
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		var v Value
		switch {
		case names.get(name) != nil:
			v = e.evaluated(c, names.get(name))
		case strings.Contains(name, ".") && !strings.HasPrefix(name, "AWS::"):
			v = e.attribute(c, name)
		default:
			v = e.named(c, name)
		}
		value, ok := TextOf(v)
		if !ok && v != nil {
			panic(c.bad("%s is not text", found))
		}
		e.spend(c.n, len(value))
		return value
	})
	return Text(out)
}
