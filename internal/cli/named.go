package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

// onNamed is a command that asks the server for something about the one thing
// that its argument names. The use is the command without the argument.
func (c *command) onNamed(use, short, example string, run func(ctx context.Context, api *client.Client, name string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Example: example, Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			return run(cmd.Context(), api, args[0])
		},
	}
}
