package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) attestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "The keys that this server signs its images' provenance with",
	}
	var all bool
	key := &cobra.Command{
		Use:   "key",
		Short: "Print the public key that signs now, to verify images elsewhere",
		Long: `Print the public key that signs now, to verify images elsewhere. The private key
never leaves the server, where it is encrypted at rest.`,
		Example: `  towline attest key > towline.pub
  towline attest key --all > towline.pub`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.printAttestKeys(cmd.Context(), all) },
	}
	key.Flags().BoolVar(&all, "all", false, "also the older ones, which have signed older images")
	cmd.AddCommand(key, &cobra.Command{
		Use:     "rotate",
		Short:   "Sign with a new key from now on; the old ones stay for what they have signed",
		Example: "  towline attest rotate", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			made, err := api.RotateAttestKey(cmd.Context())
			if err != nil {
				return err
			}
			return c.printAttestKey(made, []client.AttestKey{made})
		},
	})
	return cmd
}

func (c *command) printAttestKeys(ctx context.Context, all bool) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.AttestKeys(ctx)
	if err != nil {
		return err
	}
	if !all {
		found = found[:1]
	}
	return c.printAttestKey(found, found)
}

func (c *command) printAttestKey(result any, keys []client.AttestKey) error {
	if c.output == "json" {
		return c.printJSON(result)
	}
	for _, key := range keys {
		fmt.Fprintf(c.Err, "key %s of %s\n", key.ID, key.Created.UTC().Format(time.DateOnly))
		fmt.Fprint(c.Out, key.PEM)
	}
	return nil
}
