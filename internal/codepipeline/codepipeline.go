// Package codepipeline carries definitions between AWS's forms and
// pipeline.Pipeline: the JSON of CodePipeline's API and CLI in both directions,
// CloudFormation templates in both. It stands at the door: what comes in is
// foreign text, what goes out is a definition that the machine understands. It
// knows nothing of towline.yaml, of the wire of the API, or of how actions are
// carried out, and it asks nobody at AWS.
//
// Nothing is lost on the way. What Towline has no use for is kept in the
// Foreign members of the definition and comes out again where it came in;
// Leftovers names it. What AWS has no word for goes out in a form that comes
// back whole; Extensions names it.
package codepipeline

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// maxSize bounds what is read, in bytes. The greatest definition that AWS takes
// is smaller.
const maxSize = 2 << 20

// Document is a definition with what stands around it in a file of the aws
// command: the answer of get-pipeline, the input of create-pipeline, or the
// structure alone.
type Document struct {
	Pipeline pipeline.Pipeline
	// Bare tells that nothing stands around it.
	Bare bool
	// Around are the members beside "pipeline", such as metadata and tags.
	Around pipeline.Foreign
}

// Parse reads AWS's JSON. What is wrong with it is an error of type
// pipeline.Problems; whether the definition makes sense is for its Check.
func Parse(text []byte) (Document, error) {
	if len(text) > maxSize {
		return Document{}, tooBig(len(text))
	}
	if problem := syntax(text); problem != nil {
		return Document{}, problem
	}
	var r reader
	whole := r.object(text, "")
	if len(r.problems) > 0 {
		return Document{}, r.problems
	}
	d := Document{Bare: true}
	declaration := json.RawMessage(text)
	if inner, ok := whole.take("pipeline"); ok {
		d.Bare, declaration = false, inner
		d.Around = whole.foreign()
	}
	d.Pipeline = r.pipeline(declaration)
	if len(r.problems) > 0 {
		return Document{}, r.problems
	}
	return d, nil
}

// Read is the definition that a declaration holds: the value of "pipeline" in
// the requests of AWS's API. Its errors are those of Parse.
func Read(declaration json.RawMessage) (pipeline.Pipeline, error) {
	if len(declaration) > maxSize {
		return pipeline.Pipeline{}, tooBig(len(declaration))
	}
	if problem := syntax(declaration); problem != nil {
		return pipeline.Pipeline{}, problem
	}
	var r reader
	p := r.pipeline(declaration)
	if len(r.problems) > 0 {
		return pipeline.Pipeline{}, r.problems
	}
	return p, nil
}

// Declaration is a definition in AWS's form, which Read makes it of again.
func Declaration(p pipeline.Pipeline) (json.RawMessage, error) {
	declaration, err := encode(write(p))
	if err != nil {
		return nil, fmt.Errorf("write pipeline %s in AWS's form: %w", p.Name, err)
	}
	return declaration, nil
}

// Format is the text of a file for the aws command, with line breaks.
func (d Document) Format() ([]byte, error) {
	whole := write(d.Pipeline)
	if !d.Bare {
		whole = record{{"pipeline", whole}}
		whole.addForeign(d.Around)
	}
	text, err := encodeIndented(whole)
	if err != nil {
		return nil, fmt.Errorf("write pipeline %s in AWS's form: %w", d.Pipeline.Name, err)
	}
	return text, nil
}

func tooBig(n int) pipeline.Problems {
	return pipeline.Problems{{Path: "the file", Message: fmt.Sprintf("it has %d bytes, the most is %d", n, maxSize), Hint: "keep large values outside of the definition", Exception: pipeline.InvalidValue}}
}
