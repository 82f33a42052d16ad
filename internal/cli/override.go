package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) overrideCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "override PIPELINE|EXECUTION [STAGE]",
		Short: "Set aside the condition that holds an execution up, or has failed it",
		Long: `Set aside the condition that holds an execution up, or that has failed its stage:
the execution goes on as if the condition had been met. Who did it is recorded.`,
		Example: `  towline override web-7 Deploy`,
		Args:    between(1, "PIPELINE|EXECUTION", "STAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := find(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			req, err := condition(e, args[1:])
			if err != nil {
				return err
			}
			req.By = person()
			if e, err = api.Override(cmd.Context(), e.ID, req); err != nil {
				return err
			}
			return c.did(e, "set aside condition %s of stage %s of %s", req.Kind, req.Stage, e.ID)
		},
	}
	return cmd
}

// condition is the condition of an execution that is not met: the last one, in
// the stage that is named, or in any.
func condition(e client.Execution, named []string) (found client.OverrideRequest, err error) {
	for _, s := range e.Stages {
		if len(named) > 0 && s.Name != named[0] {
			continue
		}
		for _, c := range s.Conditions {
			if c.Kind != pipeline.OnFailure && (c.Status == pipeline.StatusFailed || c.Status == pipeline.StatusInProgress) {
				found = client.OverrideRequest{Stage: s.Name, Kind: c.Kind}
			}
		}
	}
	if found.Stage == "" {
		return found, fmt.Errorf("%s has no condition that could be set aside", e.ID)
	}
	return found, nil
}
