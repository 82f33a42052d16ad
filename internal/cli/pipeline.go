package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/definition"
)

func (c *command) pipelineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "pipeline", Short: "Check a towline.yaml, and look at pipelines"}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "validate [FILE]",
			Short: "Check a towline.yaml and print what is wrong with it, with line and column",
			Example: `  towline pipeline validate
  towline pipeline validate services/web/towline.yaml
  git show main:towline.yaml | towline pipeline validate -`,
			Args: between(0, "FILE"),
			RunE: func(_ *cobra.Command, args []string) error { return c.validate(args) },
		},
		&cobra.Command{
			Use:     "list",
			Short:   "List the pipelines and their last executions",
			Example: "  towline pipeline list",
			Args:    exactly(),
			RunE:    func(cmd *cobra.Command, _ []string) error { return c.listPipelines(cmd) },
		},
		c.pipelineStateCommand(),
		&cobra.Command{
			Use:     "get NAME",
			Short:   "Print a pipeline as the server knows it, in JSON",
			Example: "  towline pipeline get web",
			Args:    exactly("NAME"),
			RunE: func(cmd *cobra.Command, args []string) error {
				api, err := c.client()
				if err != nil {
					return err
				}
				p, err := api.Pipeline(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.printJSON(p)
			},
		},
		&cobra.Command{
			Use:     "schema",
			Short:   "Print the JSON Schema of towline.yaml, for editors",
			Example: "  towline pipeline schema > .towline.schema.json",
			Args:    exactly(),
			RunE: func(*cobra.Command, []string) error {
				schema, err := definition.Schema()
				if err == nil {
					_, err = fmt.Fprintf(c.Out, "%s\n", schema)
				}
				return err
			},
		},
		c.convertCommand(),
	)
	return cmd
}

func (c *command) validate(args []string) error {
	file := definition.FileName
	if len(args) > 0 {
		file = args[0]
	}
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(c.In)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return err
	}
	p, err := definition.Parse(text, "repository")
	var problems definition.Problems
	if errors.As(err, &problems) && file != "-" {
		return errors.New(problems.In(file))
	}
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(p)
	}
	actions := 0
	for _, s := range p.Stages {
		actions += len(s.Actions)
	}
	fmt.Fprintf(c.Out, "%s: pipeline %s is right: %d stages, %d actions\n", file, p.Name, len(p.Stages), actions)
	return nil
}

func (c *command) listPipelines(cmd *cobra.Command) error {
	return list[client.Pipeline]{
		fetch:  (*client.Client).Pipelines,
		header: []string{"PIPELINE", "REPOSITORY", "LAST", "REVISION", "STARTED"},
		row: func(p client.Pipeline) []string {
			row := []string{p.Pipeline.Name, p.Repository, "-", "-", "-"}
			if p.Last != nil {
				row[2] = fmt.Sprintf("#%d %s", p.Last.Number, p.Last.Status)
				row[3] = fmt.Sprintf("%s %s", p.Last.Revision.Short(), shorten(p.Last.Revision.Message, 40))
				row[4] = p.Last.Started.Local().Format(time.DateTime)
			}
			return row
		},
	}.print(cmd.Context(), c)
}
