package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) transitionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transition",
		Short: "Close and open the ways between stages",
		Long: `Close and open the ways between stages. A closed way holds executions before it;
those that are in a stage are not touched. "towline pipeline state" shows what is
closed, by whom and why.`,
	}
	disable, enable := c.setTransitionCommand(true), c.setTransitionCommand(false)
	cmd.AddCommand(disable, enable)
	return cmd
}

func (c *command) setTransitionCommand(disabled bool) *cobra.Command {
	var out bool
	req := client.TransitionRequest{Disabled: disabled}
	cmd := &cobra.Command{
		Use:     "enable PIPELINE STAGE",
		Short:   "Let executions into a stage again",
		Example: `  towline transition enable web Deploy`,
		Args:    exactly("PIPELINE", "STAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			end, way := pipeline.Inbound, "into"
			if out {
				end, way = pipeline.Outbound, "out of"
			}
			req.By = person()
			state, err := api.SetTransition(cmd.Context(), args[0], args[1], end, req)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(state)
			}
			is := "open"
			if disabled {
				is = "closed"
			}
			_, err = fmt.Fprintf(c.Out, "the way %s stage %s of %s is %s\n", way, args[1], args[0], is)
			return err
		},
	}
	if disabled {
		cmd.Use, cmd.Short = "disable PIPELINE STAGE", "Let no more executions into a stage"
		cmd.Example = "  towline transition disable web Deploy --reason \"freeze until Monday\""
		cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for those who wait")
	}
	cmd.Flags().BoolVar(&out, "outbound", false, "the way out of the stage instead of the way into it")
	return cmd
}
