package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) pipelineStateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "state NAME",
		Short:   "Show what is in each stage, who waits before it, and which ways are closed",
		Example: "  towline pipeline state web",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			state, err := api.State(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(state)
			}
			table := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "STAGE\tSTATUS\tEXECUTION\tWAITING\tCLOSED")
			for _, s := range state.Stages {
				fmt.Fprintln(table, stageLine(s))
			}
			if err := table.Flush(); err != nil {
				return err
			}
			for _, h := range state.Holds {
				fmt.Fprintln(c.Out, holdLine(h.Execution, h.Hold))
			}
			return nil
		},
	}
}

// stageLine is a row of the table of stages.
func stageLine(s client.StageState) string {
	status, latest := "-", "-"
	if s.State != nil {
		status, latest = string(s.State.Status), s.Latest
	}
	var closed []string
	for _, t := range s.Closed {
		closed = append(closed, fmt.Sprintf("%s by %s%s", strings.ToLower(string(t.Type)), printable(t.By), because(t.Reason)))
	}
	return strings.Join([]string{s.Name, status, latest, strings.Join(s.Waiting, ", "), strings.Join(closed, "; ")}, "\t")
}

// holdLine says why an execution waits, since when, and until when at most.
func holdLine(execution string, h pipeline.Hold) string {
	line := execution + " waits. " + printable(h.Sentence)
	if !h.Since.IsZero() {
		line += " Since " + h.Since.Local().Format(time.DateTime) + "."
	}
	if !h.Until.IsZero() {
		line += " Until " + h.Until.Local().Format(time.DateTime) + "."
	}
	return line
}
