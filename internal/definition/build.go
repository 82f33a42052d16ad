package definition

import (
	"maps"

	"github.com/goccy/go-yaml/token"

	"github.com/towline/towline/internal/pipeline"
)

// ParseBuild reads a file with the keys of a build section, for a build that no
// pipeline runs. A file that is not right gives an error of type Problems.
func ParseBuild(text []byte) (pipeline.Build, error) {
	var b pipeline.Build
	shape, err := read(text, &b, "write the keys of a build section, such as compute: pod", "keep one build in the file")
	if err != nil {
		return b, err
	}
	// The section stands at the top of this file, and below an action elsewhere.
	positions := map[string]*token.Position{"": {Line: 1, Column: 1}}
	maps.Copy(positions, shape.positions)
	for path, at := range shape.positions {
		positions["."+path] = at
	}
	c := compiler{positions: positions}
	c.build(action{Build: &b}, "", &pipeline.Action{})
	if len(c.problems) > 0 {
		return b, c.problems.sorted()
	}
	return b, nil
}
