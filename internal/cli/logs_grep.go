package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// search is what logs are searched for, and where.
type search struct {
	api  *client.Client
	text string
	last int      // executions
	only []string // the action, if one is named
}

// grep prints the lines that are searched for, the oldest execution first, each
// behind where it was found.
func (c *command) grep(cmd *cobra.Command, s search, e client.Execution) error {
	if s.text == "" {
		return usageError{errors.New("--last goes with --grep TEXT: say what to search for")}
	}
	executions := []client.Execution{e}
	if s.last > 1 {
		before, err := s.api.Executions(cmd.Context(), e.Pipeline, e.Number, min(s.last-1, 200))
		if err != nil {
			return err
		}
		executions = append(executions, before...)
	}
	lines, actions := 0, 0
	for _, e := range slices.Backward(executions) {
		for _, stage := range e.Stages {
			for _, a := range stage.Actions {
				if a.Status == pipeline.StatusPending || len(s.only) > 0 && a.Name != s.only[0] {
					continue
				}
				actions++
				found, err := c.grepAction(cmd, s, client.ActionRef{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt, Action: a.Name})
				if err != nil {
					return err
				}
				lines += found
			}
		}
	}
	switch {
	case actions == 0 && len(s.only) > 0:
		return fmt.Errorf("no execution that was searched has run an action %q", s.only[0])
	case lines == 0:
		fmt.Fprintf(c.Err, "no line has %q; logs that were searched: %d\n", s.text, actions)
	}
	return nil
}

func (c *command) grepAction(cmd *cobra.Command, s search, ref client.ActionRef) (found int, err error) {
	log, err := s.api.Grep(cmd.Context(), ref, s.text)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	err = eachLine(log, func(line string) error {
		found++
		_, err := io.WriteString(c.logOut(), fmt.Sprintf("%s %s/%s: %s", ref.Execution, ref.Stage, ref.Action, line))
		return err
	})
	return found, err
}
