package definition

import (
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/towline/towline/internal/pipeline"
)

// DeployFile is a file that holds what the deploy section of a towline.yaml
// holds, for deployments that no pipeline makes.
type DeployFile struct {
	pipeline.Deploy
	positions map[string]*token.Position
}

// ParseDeploy reads such a file. What is wrong with its shape is an error of
// type Problems; what its values mean together is told by Deploy.Problems,
// once flags have had their say.
func ParseDeploy(text []byte) (DeployFile, error) {
	var f DeployFile
	shape, err := read(text, &f.Deploy, "write the keys of a deploy section, such as strategy: immutable", "keep one deployment in the file")
	if err != nil {
		return f, err
	}
	f.positions = shape.positions
	return f, nil
}

// Place is where the file says what a problem is about, ok false when it does
// not: the value then came from elsewhere.
func (f DeployFile) Place(path string) (line, column int, ok bool) {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if at := f.positions[path]; at != nil {
			return at.Line, at.Column, true
		}
	}
	return 0, 0, false
}
