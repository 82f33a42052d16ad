// Package definition turns a towline.yaml into a pipeline.Pipeline: the front
// door through which people describe what is to happen to a push. It knows the
// file's shape and the pipeline's, and nothing of how actions are carried out.
package definition

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/towline/towline/internal/pipeline"
)

// FileName is where a repository keeps its definition.
const FileName = "towline.yaml"

// maxSize bounds a definition, in bytes. A real one has a few hundred lines.
const maxSize = 256 << 10

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
	c := compiler{positions: shape.positions, repository: repository, source: sourceArtifact}
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
		return nil, Problems{{Line: beginning(tree.Docs[1]), Column: 1, Message: "a second document begins", Hint: second}}
	}
	shape := newShape()
	shape.check(tree.Docs[0].Body, reflect.TypeOf(into), "")
	if len(shape.problems) > 0 {
		return nil, shape.problems.sorted()
	}
	return shape, decode(text, into)
}

// beginning is the line in which a document begins: with three dashes, or after
// the three dots that end another one without them.
func beginning(document *ast.DocumentNode) int {
	switch {
	case document.Start != nil:
		return document.Start.Position.Line
	case document.Body != nil:
		return document.Body.GetToken().Position.Line
	}
	return 1
}

// decode goes through JSON, so that the file's keys are the JSON names that
// the API and AWS's form use. The shape has been checked: what goes wrong here
// is a value that an alias put where another kind is wanted.
func decode(text []byte, into any) error {
	var value any
	if err := yaml.UnmarshalWithOptions(text, &value, yaml.UseOrderedMap()); err != nil {
		return syntaxProblem(err)
	}
	document, err := treeOfYAML(value)
	if err == nil {
		err = json.Unmarshal(document.json(), into)
	}
	if err != nil {
		return Problems{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return nil
}
