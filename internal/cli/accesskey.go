package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) accessKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accesskey",
		Short: "Keys with which the aws command and AWS's SDKs sign their requests",
		Long: `Keys with which the aws command and AWS's SDKs sign their requests to Towline.
They are Towline's own: no AWS account is needed, and a key of AWS is of no use
here.`,
	}
	cmd.AddCommand(c.accessKeyCreateCommand(),
		&cobra.Command{
			Use: "list", Short: "List the access keys", Example: "  towline accesskey list", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listAccessKeys(cmd.Context()) },
		},
		&cobra.Command{
			Use: "revoke ID", Short: "End an access key at once",
			Example: "  towline accesskey revoke AKIAQ3EGWQ7XJH2N5K6M", Args: exactly("ID"),
			RunE: func(cmd *cobra.Command, args []string) error {
				api, err := c.client()
				if err != nil {
					return err
				}
				if err := api.RevokeAccessKey(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(c.Err, "access key %s is revoked\n", args[0])
				return nil
			},
		},
	)
	return cmd
}

func (c *command) accessKeyCreateCommand() *cobra.Command {
	var asked client.AccessKeyRequest
	var role string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an access key and show its secret, this once",
		Long: `Make an access key and show its secret, this once. The roles: a viewer reads; an
operator also starts, stops, approves, retries and rolls back executions; an admin
also changes pipelines.

The text that is printed can be read by a shell: with it, the aws command talks to
this server.`,
		Example: `  eval "$(towline accesskey create --role operator --note 'release desk')"
  aws codepipeline list-pipelines`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asked.Role = client.Role(role)
			if !slices.Contains([]client.Role{client.Viewer, client.Operator, client.Admin}, asked.Role) {
				return usageError{fmt.Errorf("role %q is none of viewer, operator and admin", role)}
			}
			return c.createAccessKey(cmd.Context(), asked)
		},
	}
	cmd.Flags().StringVar(&role, "role", string(client.Viewer), "what the key may do: viewer, operator or admin")
	cmd.Flags().StringVar(&asked.Note, "note", "", "what the key is for, at most 200 characters")
	return cmd
}

func (c *command) createAccessKey(ctx context.Context, asked client.AccessKeyRequest) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	made, err := api.CreateAccessKey(ctx, asked)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(made)
	}
	// A session of AWS's does not go with this key. A region must be there, and
	// any will do: this one is young enough for the aws command to presign by
	// Signature Version 4.
	fmt.Fprintf(c.Out, `export AWS_ACCESS_KEY_ID=%[1]s
export AWS_SECRET_ACCESS_KEY=%[2]s
export AWS_ENDPOINT_URL_CODEPIPELINE=%[3]s
export AWS_ENDPOINT_URL_CODEBUILD=%[3]s
export AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=%[3]s
export AWS_ENDPOINT_URL_S3=%[3]s
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-2}
unset AWS_SESSION_TOKEN
`, made.ID, made.Secret, api.URL())
	fmt.Fprintf(c.Err, "access key %s of role %s is made; its secret is shown this once\n", made.ID, made.Role)
	return nil
}

func (c *command) listAccessKeys(ctx context.Context) error {
	return list[client.AccessKey]{
		fetch:  (*client.Client).AccessKeys,
		header: []string{"ID", "ROLE", "CREATED", "USED", "NOTE"},
		row: func(key client.AccessKey) []string {
			used := "never"
			if key.Used != nil {
				used = key.Used.UTC().Format("2006-01-02 15h")
			}
			return []string{key.ID, string(key.Role), key.Created.UTC().Format(time.DateOnly), used, key.Note}
		},
	}.print(ctx, c)
}
