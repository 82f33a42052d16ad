// Package definition turns a towline.yaml into a pipeline.Pipeline: the front
// door through which people describe what is to happen to a push. It knows the
// file's shape and the pipeline's, and nothing of how actions are carried out.
package definition

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/towline/towline/internal/pipeline"
)

// FileName is where a repository keeps its definition.
const FileName = "towline.yaml"

// maxSize bounds a definition, in bytes. A real one has a few hundred lines.
const maxSize = 256 << 10

// file is the shape of towline.yaml.
type file struct {
	Pipeline string  `json:"pipeline" jsonschema:"required" doc:"name of the pipeline: lower-case letters, digits and dashes"`
	On       *on     `json:"on,omitempty" doc:"what starts an execution, default a push to main"`
	Stages   []stage `json:"stages" jsonschema:"required" doc:"the stages in their order; the Source stage comes by itself"`
}

type on struct {
	Push *push `json:"push,omitempty" doc:"pushes to Towline's git server"`
}

type push struct {
	Branches []string `json:"branches,omitempty" doc:"branches by name or glob, default main"`
}

type stage struct {
	Name     string   `json:"name" jsonschema:"required" doc:"name of the stage: letters, digits and dashes"`
	Parallel bool     `json:"parallel,omitempty" doc:"true runs all actions of the stage together"`
	Actions  []action `json:"actions" jsonschema:"required" doc:"the actions; they run one after the other unless parallel or runOrder says otherwise"`
}

// action is a name and exactly one key that says what it does.
type action struct {
	Name     string           `json:"name" jsonschema:"required" doc:"name of the action, unique in the pipeline; its variables are #{name.Variable}"`
	RunOrder int              `json:"runOrder,omitempty" doc:"actions with the same number run together, lower ones first"`
	Inputs   []string         `json:"inputs,omitempty" doc:"artifacts that the action gets, default source, and for images the one made last"`
	Outputs  []string         `json:"outputs,omitempty" doc:"name of the artifact that the action makes, default the action's name"`
	Build    *pipeline.Build  `json:"build,omitempty" doc:"runs a buildspec: tests, packaging, any command"`
	Image    *pipeline.Image  `json:"image,omitempty" doc:"makes a container image of an artifact and pushes it"`
	Deploy   *pipeline.Deploy `json:"deploy,omitempty" doc:"brings manifests to a Kubernetes cluster and waits until they serve"`
}

// Parse reads a towline.yaml. The repository is where it was found: the Source
// stage, which the file leaves out, takes its commits from there. A file that
// is not right gives an error of type Problems, which names each problem with
// its line and column.
func Parse(text []byte, repository string) (pipeline.Pipeline, error) {
	var f file
	shape, err := read(text, &f, `begin with "pipeline: NAME"`, "keep one pipeline in the file")
	if err != nil {
		return pipeline.Pipeline{}, err
	}
	c := compiler{positions: shape.positions, repository: repository}
	p := c.compile(f)
	if len(c.problems) > 0 {
		return pipeline.Pipeline{}, c.problems.sorted()
	}
	return p, nil
}

// read decodes the one document of a file into a struct that into points to.
// What is wrong with its shape is an error of type Problems.
func read(text []byte, into any, empty, second string) (*shape, error) {
	if len(text) > maxSize {
		return nil, Problems{{Line: 1, Column: 1, Message: fmt.Sprintf("the file has %d bytes, the most is %d", len(text), maxSize)}}
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntaxProblem(err)
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil, Problems{{Line: 1, Column: 1, Message: "the file is empty", Hint: empty}}
	}
	if len(tree.Docs) > 1 {
		return nil, Problems{{Line: tree.Docs[1].Start.Position.Line, Column: 1, Message: "a second document begins", Hint: second}}
	}
	shape := newShape()
	shape.check(tree.Docs[0].Body, reflect.TypeOf(into), "")
	if len(shape.problems) > 0 {
		return nil, shape.problems.sorted()
	}
	return shape, decode(text, into)
}

// decode goes through JSON, so that the file's keys are the JSON names that
// the API and AWS's form use. The shape has been checked: what goes wrong here
// is a value that an alias put where another kind is wanted.
func decode(text []byte, into any) error {
	doc, err := yaml.YAMLToJSON(text)
	if err != nil {
		return syntaxProblem(err)
	}
	if err := json.Unmarshal(doc, into); err != nil {
		return Problems{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return nil
}
