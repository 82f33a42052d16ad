package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/codepipeline/stack"
	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

// The forms in which a definition can be written.
const (
	formTowline        = "towline"
	formAWS            = "aws"
	formCloudFormation = "cloudformation"
)

var forms = []string{formTowline, formAWS, formCloudFormation}

// maxDefinition bounds what is read of a definition. Each form has a limit of
// its own below it.
const maxDefinition = 4 << 20

// conversion is one definition on its way from one form to another.
type conversion struct {
	from, to   string
	parameters []string // NAME=VALUE
	resource   string
	repository string
	file       string

	notes []notes
}

// notes are what somebody should know of a conversion.
type notes struct {
	About string   `json:"about"`
	Lines []string `json:"lines"`
}

func (c *command) convertCommand() *cobra.Command {
	var v conversion
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Carry a pipeline between towline.yaml, AWS's JSON and CloudFormation",
		Long: `Carry a pipeline between towline.yaml, AWS's JSON and CloudFormation. AWS's JSON
is what "aws codepipeline get-pipeline" prints and "create-pipeline" takes. What
FILE is, is found out; - reads standard input. The result goes to standard
output, and what somebody should know of it to standard error.

Nothing is lost between towline.yaml and AWS's JSON: what the one has no word
for stands in the other as it is, and is named. Of a template, what it knows
itself is resolved: parameters, mappings, conditions and functions. What only
AWS could know becomes a placeholder such as ${Role.Arn}, and is named with its
line. A template that is written stands by itself: with CodeBuild projects,
roles and a bucket.

Without --to, AWS's forms become a towline.yaml, and a towline.yaml becomes
AWS's JSON.`,
		Example: `  aws codepipeline get-pipeline --name web | towline pipeline convert - > towline.yaml
  towline pipeline convert template.yaml --parameter Stage=production
  towline pipeline convert towline.yaml --to cloudformation > template.yaml
  towline pipeline convert towline.yaml > pipeline.json
  aws codepipeline create-pipeline --cli-input-json file://pipeline.json --endpoint-url http://localhost:8480`,
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			v.file = args[0]
			return c.convert(&v)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&v.to, "to", "", "form to write: "+strings.Join(forms, ", "))
	flags.StringVar(&v.from, "from", "", "form of FILE: "+strings.Join(forms, ", ")+"; default what it looks like")
	flags.StringArrayVar(&v.parameters, "parameter", nil, "NAME=VALUE: value of a template's parameter, or of one of AWS's own such as AWS::Region")
	flags.StringVar(&v.resource, "resource", "", "logical name of the pipeline, in a template with several")
	flags.StringVar(&v.repository, "repository", "", "repository that a towline.yaml stands in, default the name of its pipeline")
	return cmd
}

func (c *command) convert(v *conversion) error {
	for _, form := range []string{v.from, v.to} {
		if form != "" && !slices.Contains(forms, form) {
			return usageError{fmt.Errorf("there is no form %q: choose %s", form, strings.Join(forms, ", "))}
		}
	}
	text, err := c.readDefinition(v.file)
	if err != nil {
		return err
	}
	if v.from == "" {
		v.from = formOf(text)
	}
	switch {
	case v.to == v.from:
		return usageError{fmt.Errorf("%s is in form %s already: choose another with --to", v.file, v.to)}
	case v.to == "" && v.from == formTowline:
		v.to = formAWS
	case v.to == "":
		v.to = formTowline
	}
	p, err := v.read(text)
	if err != nil {
		return err
	}
	out, err := v.write(p)
	if err != nil {
		return errors.Join(err, v.hint())
	}
	if c.output == "json" {
		return c.printJSON(struct {
			From  string  `json:"from"`
			To    string  `json:"to"`
			Text  string  `json:"text"`
			Notes []notes `json:"notes"`
		}{v.from, v.to, string(out), v.notes})
	}
	for _, n := range v.notes {
		fmt.Fprintln(c.Err, n.About+":")
		for _, line := range n.Lines {
			fmt.Fprintln(c.Err, "  "+printable(line))
		}
	}
	_, err = c.Out.Write(out)
	return err
}

func (c *command) readDefinition(file string) ([]byte, error) {
	from := c.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxDefinition+1))
	if err == nil && len(text) > maxDefinition {
		err = fmt.Errorf("read %s: it has more than %d bytes, which no definition has", file, maxDefinition)
	}
	return text, err
}

// The keys by which a template is known, and AWS's form when the aws command
// was asked for YAML: there the pipeline is an object, and not a name.
var (
	resources   = regexp.MustCompile(`(?m)^["']?Resources["']?[ \t]*:`)
	declaration = regexp.MustCompile(`(?m)^pipeline:[ \t]*\r?$`)
)

// formOf is what a text looks like.
func formOf(text []byte) string {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members) // what cannot be read is AWS's JSON with a mistake
		switch name := members["pipeline"]; {
		case members["Resources"] != nil:
			return formCloudFormation
		case bytes.HasPrefix(name, []byte(`"`)):
			return formTowline
		}
		return formAWS
	}
	switch {
	case resources.Match(text):
		return formCloudFormation
	case declaration.Match(text):
		return formAWS
	}
	return formTowline
}

func (v *conversion) note(about string, lines []string) {
	if len(lines) > 0 {
		v.notes = append(v.notes, notes{about, lines})
	}
}

func asLines[T fmt.Stringer](all []T) []string {
	var out []string
	for _, one := range all {
		out = append(out, one.String())
	}
	return out
}

const keptNote = "Kept without use, for the way back"

// read is the pipeline that the file defines. One that makes no sense is an
// error of type pipeline.Problems.
func (v *conversion) read(text []byte) (pipeline.Pipeline, error) {
	var p pipeline.Pipeline
	switch v.from {
	case formAWS:
		if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
			var err error
			if text, err = yaml.YAMLToJSONStrict(text); err != nil {
				return p, v.wrong(err)
			}
		}
		d, err := codepipeline.Parse(text)
		if err != nil {
			return p, v.wrong(err)
		}
		v.note("Left out: it is no part of the definition", asLines(codepipeline.Document{Around: d.Around}.Leftovers()))
		p = d.Pipeline
	case formCloudFormation:
		given, err := pairs(v.parameters)
		if err != nil {
			return p, err
		}
		i, err := codepipeline.Import(text, codepipeline.ImportOptions{Resource: v.resource, Parameters: given})
		if err != nil {
			return p, v.wrong(err)
		}
		v.note("Not resolved", asLines(i.Unresolved))
		p = i.Pipeline
	default:
		return v.readTowline(text)
	}
	if problems := p.Check(); problems != nil {
		return p, errors.Join(v.wrong(problems), v.hint())
	}
	v.note(keptNote, asLines(codepipeline.Leftovers(p)))
	return p, nil
}

func (v *conversion) readTowline(text []byte) (pipeline.Pipeline, error) {
	p, err := definition.Parse(text, v.repository)
	if err == nil && v.repository == "" {
		p, err = definition.Parse(text, p.Name)
	}
	var problems definition.Problems
	if errors.As(err, &problems) && v.file != "-" {
		err = errors.New(problems.In(v.file))
	}
	return p, err
}

// wrong says of each line of an error which file it is about.
func (v *conversion) wrong(err error) error {
	name := v.file
	if name == "-" {
		name = "standard input"
	}
	var out []string
	for line := range strings.Lines(err.Error()) {
		out = append(out, printable(name+": "+strings.TrimRight(line, "\n")))
	}
	return errors.New(strings.Join(out, "\n"))
}

// hint is what could help when values of a template are missing, else nil.
func (v *conversion) hint() error {
	for _, n := range v.notes {
		if n.About == "Not resolved" {
			text := []string{"these values of the template are not known; give those that matter with --parameter:"}
			for _, line := range n.Lines {
				text = append(text, "  "+printable(line))
			}
			return errors.New(strings.Join(text, "\n"))
		}
	}
	return nil
}

func pairs(all []string) (map[string]string, error) {
	out := map[string]string{}
	for _, one := range all {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--parameter %q: write NAME=VALUE", one)}
		}
		out[name] = value
	}
	return out, nil
}

func (v *conversion) write(p pipeline.Pipeline) ([]byte, error) {
	switch v.to {
	case formAWS:
		v.note("AWS itself would not take this, Towline's endpoint does", asLines(codepipeline.Extensions(p)))
		return codepipeline.Document{Pipeline: p}.Format()
	case formCloudFormation:
		out, leftovers, err := stack.Export(p)
		v.note("To look at before the stack is made", asLines(leftovers))
		return out, err
	}
	return definition.Format(p)
}
