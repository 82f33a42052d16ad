package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  towline version\n  towline version -o json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			if c.output == "json" {
				return c.printJSON(client.Version{Version: c.Version})
			}
			fmt.Fprintln(c.Out, "towline", c.Version)
			return nil
		},
	}
}
