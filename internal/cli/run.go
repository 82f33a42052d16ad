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
	cmd := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Run a pipeline for the newest commit of a branch and follow it",
		Long: `Run a pipeline for the newest commit of a branch and follow it. The pipeline is
the one that was pushed last, also when the branch holds another towline.yaml.`,
		Example: `  towline run web
  towline run web --branch release/1.4
  towline run web --detach -o json`,
		Args: exactly("PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := api.Run(cmd.Context(), args[0], client.RunRequest{Branch: branch})
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
	cmd.Flags().StringVar(&branch, "branch", "main", "branch to run")
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
	for _, line := range failures(e) {
		fmt.Fprintln(c.Err, line)
	}
	return exitCode(exitFailed)
}
