package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxViolations bounds how many mistakes one answer names.
const maxViolations = 20

// maxSeconds bounds instants, in seconds from 1970: the year 9999, as far as
// SDKs can read.
const maxSeconds = 253402300799

// maxShown bounds, in characters, how much of a wrong value an answer repeats.
const maxShown = 128

// Check compares a request with its shape and returns a Fault in AWS's words,
// or nil. Members that the shape does not know are ignored, as AWS does.
func (m *Model) Check(shapeName string, request map[string]any) error {
	c := checker{model: m}
	c.structure(m.Shapes[shapeName], request, "")
	switch {
	case c.wrong != nil:
		return c.wrong
	case len(c.violations) == 0:
		return nil
	}
	plural := "s"
	if len(c.violations) == 1 {
		plural = ""
	}
	return Faultf("ValidationException", "%d validation error%s detected: %s", len(c.violations), plural, strings.Join(c.violations, "; "))
}

// checker gathers what is wrong with one request.
type checker struct {
	model      *Model
	violations []string
	wrong      *Fault // a value of another type than its member, which ends the check
}

// value checks one value. JSON's null is the same as nothing, but for members
// that are required and for elements of lists.
func (c *checker) value(name string, value any, path string) {
	if c.wrong != nil || len(c.violations) >= maxViolations {
		return
	}
	s := c.model.Shapes[name]
	if value == nil {
		c.violate(path, "null", "Member must not be null")
		return
	}
	switch s.Type {
	case "structure":
		if v, ok := typed[map[string]any](c, value, s); ok {
			c.structure(s, v, path)
		}
	case "list":
		if v, ok := typed[[]any](c, value, s); ok {
			c.list(s, v, path)
		}
	case "map":
		if v, ok := typed[map[string]any](c, value, s); ok {
			c.table(s, v, path)
		}
	case "string":
		if v, ok := typed[string](c, value, s); ok {
			c.limits(s.textLimits(v), s, v, path)
		}
	case "integer":
		c.integer(s, value, path)
	case "timestamp":
		if v, ok := typed[json.Number](c, value, s); ok {
			if seconds, err := v.Float64(); err != nil || math.Abs(seconds) > maxSeconds {
				c.mistype(value, s)
			}
		}
	case "boolean":
		typed[bool](c, value, s)
	}
}

func (c *checker) structure(s *Shape, value map[string]any, path string) {
	for _, name := range sortedKeys(s.Members) {
		inner := name
		if path != "" {
			inner = path + "." + name
		}
		switch v := value[name]; {
		case v != nil:
			c.value(s.Members[name], v, inner)
		case slices.Contains(s.Required, name):
			c.violate(inner, "null", "Member must not be null")
		}
	}
}

func (c *checker) list(s *Shape, value []any, path string) {
	c.limits(s.sizeLimits(len(value)), s, "[...]", path)
	for i, v := range value {
		c.value(s.Member, v, fmt.Sprintf("%s.%d.member", path, i+1))
	}
}

// table checks a map. AWS names neither the key nor the value that is wrong,
// and values may be secrets; the key is no secret, and tells where to mend.
func (c *checker) table(s *Shape, value map[string]any, path string) {
	c.limits(s.sizeLimits(len(value)), s, "{...}", path)
	keys, values := c.model.Shapes[s.Key], c.model.Shapes[s.Value]
	for _, key := range sortedKeys(value) {
		if broken := keys.textLimits(key); len(broken) > 0 {
			c.violate(path, "", "Map keys must satisfy constraint: ["+strings.Join(broken, ", ")+"]")
			continue
		}
		text, isText := value[key].(string)
		if !isText {
			c.value(s.Value, value[key], path+"."+key+".value")
			continue
		}
		if broken := values.textLimits(text); len(broken) > 0 {
			c.violate(path+"."+key, "", "Map value must satisfy constraint: ["+strings.Join(broken, ", ")+"]")
		}
	}
}

func (c *checker) integer(s *Shape, value any, path string) {
	number, ok := typed[json.Number](c, value, s)
	if !ok {
		return
	}
	n, err := number.Int64()
	if err != nil {
		c.mistype(value, s)
		return
	}
	var broken []string
	if s.Max != nil && n > *s.Max {
		broken = append(broken, fmt.Sprintf("Member must have value less than or equal to %d", *s.Max))
	}
	if s.Min != nil && n < *s.Min {
		broken = append(broken, fmt.Sprintf("Member must have value greater than or equal to %d", *s.Min))
	}
	c.limits(broken, s, strconv.FormatInt(n, 10), path)
}

// sizeLimits are the limits of a length that n breaks.
func (s *Shape) sizeLimits(n int) (broken []string) {
	if s.Max != nil && int64(n) > *s.Max {
		broken = append(broken, fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	}
	if s.Min != nil && int64(n) < *s.Min {
		broken = append(broken, fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
	}
	return broken
}

// textLimits are the limits that a text breaks. Lengths count characters.
func (s *Shape) textLimits(text string) []string {
	broken := s.sizeLimits(utf8.RuneCountInString(text))
	if s.matches != nil && !s.matches.MatchString(text) {
		broken = append(broken, "Member must satisfy regular expression pattern: "+s.Pattern)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		broken = append(broken, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return broken
}

func (c *checker) limits(broken []string, s *Shape, value, path string) {
	shown := "'" + value + "'"
	if s.Hidden || utf8.RuneCountInString(value) > maxShown {
		shown = ""
	}
	for _, constraint := range broken {
		c.violate(path, shown, constraint)
	}
}

// violate notes one mistake. The value may be left out.
func (c *checker) violate(path, shown, constraint string) {
	if len(c.violations) >= maxViolations {
		return
	}
	if shown != "" {
		shown += " "
	}
	c.violations = append(c.violations, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", shown, path, constraint))
}

// typed takes a value for what its shape says, or notes that it is not.
func typed[T any](c *checker, value any, s *Shape) (v T, ok bool) {
	if v, ok = value.(T); !ok {
		c.mistype(value, s)
	}
	return v, ok
}

func (c *checker) mistype(value any, s *Shape) {
	if c.wrong != nil {
		return
	}
	got := map[bool]string{true: "TRUE_VALUE", false: "FALSE_VALUE"}
	switch v := value.(type) {
	case map[string]any, []any:
		c.wrong = Faultf("SerializationException", "Start of structure or map found where not expected.")
		return
	case string:
		c.wrong = Faultf("SerializationException", "STRING_VALUE can not be converted to %s", article(s.Type))
	case json.Number:
		c.wrong = Faultf("SerializationException", "NUMBER_VALUE can not be converted to %s", article(s.Type))
	case bool:
		c.wrong = Faultf("SerializationException", "%s can not be converted to %s", got[v], article(s.Type))
	}
}

// article is a type as AWS names it.
func article(t string) string {
	switch t {
	case "integer":
		return "an Integer"
	case "list":
		return "a List"
	}
	return "a " + strings.ToUpper(t[:1]) + t[1:]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
