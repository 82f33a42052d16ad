package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) runCommand() *cobra.Command {
	var branch string
	var detach bool
	var variables map[string]string
	cmd := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Run a pipeline for the newest commit of a branch and follow it",
		Long: `Run a pipeline for the newest commit of a branch and follow it. The pipeline is
the one that was pushed last, also when the branch holds another towline.yaml.`,
		Example: `  towline run web
  towline run web --branch release/1.4
  towline run web --variable target=staging
  towline run web --detach -o json`,
		Args: exactly("PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := api.Run(cmd.Context(), args[0], client.RunRequest{Branch: branch, Variables: variables})
			if err != nil {
				return err
			}
			if !detach {
				if e, err = c.follow(cmd.Context(), api, e.ID); err != nil {
					return err
				}
			}
			return c.outcome(e)
		},
	}
	cmd.Flags().StringVar(&branch, "branch", "", "branch to run, default the one that the pipeline watches")
	cmd.Flags().StringToStringVar(&variables, "variable", nil, "value for a variable of the pipeline, NAME=VALUE; may be repeated")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "start it and return at once")
	return cmd
}

// outcome prints an execution as the result of a command, and makes its
// failure the command's.
func (c *command) outcome(e client.Execution) error {
	switch {
	case c.output == "json":
		if err := c.printJSON(e); err != nil {
			return err
		}
	case !e.Done():
		fmt.Fprintln(c.Out, e.ID)
	}
	if !e.Done() || e.Status == pipeline.ExecutionSucceeded {
		return nil
	}
	if e.Status == pipeline.ExecutionSuperseded {
		fmt.Fprintf(c.Err, "%s was superseded: a newer execution overtook it while it waited for a stage\n", e.ID)
	}
	if e.Status == pipeline.ExecutionStopped {
		fmt.Fprintf(c.Err, "%s was stopped%s\n", e.ID, because(e.Reason))
	}
	for _, line := range failures(e) {
		fmt.Fprintln(c.Err, line)
	}
	return exitCode(exitFailed)
}

// because is a reason at the end of a sentence, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + printable(reason)
}
