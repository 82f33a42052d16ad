package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) approveCommand() *cobra.Command {
	return c.approvalCommand(true, &cobra.Command{
		Use:   "approve PIPELINE|EXECUTION [ACTION]",
		Short: "Give the approval that an execution waits for",
		Long: `Give the approval that an execution waits for. With a pipeline's name it is the
last execution that waits. When several approvals are waited for, name the action.`,
		Example: `  towline approve web
  towline approve web-7 go-ahead --comment "checked on staging"`,
	})
}

func (c *command) rejectCommand() *cobra.Command {
	return c.approvalCommand(false, &cobra.Command{
		Use:   "reject PIPELINE|EXECUTION [ACTION]",
		Short: "Refuse the approval that an execution waits for",
		Long: `Refuse the approval that an execution waits for: its stage fails. With a
pipeline's name it is the last execution that waits.`,
		Example: `  towline reject web-7 --comment "the price is wrong"`,
	})
}

func (c *command) approvalCommand(approve bool, cmd *cobra.Command) *cobra.Command {
	var comment string
	cmd.Args = between(1, "PIPELINE|EXECUTION", "ACTION")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.client()
		if err != nil {
			return err
		}
		e, err := findUnfinished(cmd.Context(), api, args[0], func(e client.Execution) bool { return len(approvals(e)) > 0 })
		if err != nil {
			return err
		}
		decision, err := chooseApproval(e, args[1:])
		if err != nil {
			return err
		}
		decision.Approve, decision.Comment, decision.By = approve, comment, person()
		if e, err = api.Decide(cmd.Context(), e.ID, decision); err != nil {
			return err
		}
		said := "approved"
		if !approve {
			said = "rejected"
		}
		return c.did(e, "%s %s of %s", said, decision.Action, e.ID)
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "why, for the record")
	return cmd
}

// approvals are the manual approvals that an execution waits for.
func approvals(e client.Execution) []client.Decision {
	var waiting []client.Decision
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Type.Manual() && a.Status == pipeline.StatusInProgress {
				waiting = append(waiting, client.Decision{Stage: s.Name, Action: a.Name, Token: pipeline.ApprovalToken(e.ID, s.Name, a.Attempt, a.Name)})
			}
		}
	}
	return waiting
}

// chooseApproval is the approval that is meant.
func chooseApproval(e client.Execution, named []string) (client.Decision, error) {
	waiting := approvals(e)
	var names []string
	for _, d := range waiting {
		if len(named) > 0 && d.Action == named[0] {
			return d, nil
		}
		names = append(names, d.Action)
	}
	switch {
	case len(waiting) == 0:
		return client.Decision{}, fmt.Errorf("%s is %s and waits for no approval", e.ID, e.Status)
	case len(named) > 0:
		return client.Decision{}, fmt.Errorf("%s waits for no approval %q: it waits for %s", e.ID, named[0], strings.Join(names, ", "))
	case len(waiting) > 1:
		return client.Decision{}, fmt.Errorf("%s waits for several approvals, name one: %s", e.ID, strings.Join(names, ", "))
	}
	return waiting[0], nil
}
