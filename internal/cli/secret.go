package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
)

func (c *command) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Values that builds get to know and logs never show",
		Long: `Values that builds get to know and logs never show. A buildspec names them under
env.parameter-store and env.secrets-manager, an action of towline.yaml under
build.secrets. They are encrypted at rest, and the server gives none back.`,
	}
	cmd.AddCommand(c.secretSetCommand(), c.secretAllowCommand(),
		&cobra.Command{
			Use: "list", Short: "List the secrets, without their values", Example: "  towline secret list", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listSecrets(cmd.Context()) },
		},
		c.onNamed("delete", "Forget a secret with all of its versions", "  towline secret delete web/db", func(ctx context.Context, api *client.Client, name string) error {
			if err := api.DeleteSecret(ctx, name); err != nil {
				return err
			}
			fmt.Fprintf(c.Err, "secret %s is forgotten\n", name)
			return nil
		}),
	)
	return cmd
}

func (c *command) secretSetCommand() *cobra.Command {
	var file string
	var users []string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Store a secret, or a new version of it",
		Long: `Store a secret, or a new version of it. The value is read from standard input, or
asked for on a terminal, or read from a file; never from the command line, which
every process of the machine sees. It is text of at most 64 KiB. The end of its
line is left out when it has only one.

The last ten versions are kept. A new secret is for the builds of all pipelines
and projects of the server, unless --for says for which.`,
		Example: `  towline secret set /web/db-password
  pwgen 32 1 | towline secret set web/signing-key --for web --for 'api-*'
  towline secret set web/tls --from-file tls.key --for project:web-image`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := secret.CheckName(args[0]); err != nil {
				return usageError{err}
			}
			value, err := c.secretValue(args[0], file)
			if err != nil {
				return err
			}
			return c.setSecret(cmd.Context(), client.SecretRequest{Name: args[0], Value: &value, Users: users})
		},
	}
	cmd.Flags().StringVar(&file, "from-file", "", `file with the value, "-" for standard input`)
	cmd.Flags().StringArrayVar(&users, "for", nil, "pipeline whose builds may use it, such as web or 'api-*', or project:NAME; may be repeated")
	return cmd
}

func (c *command) secretAllowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "allow NAME PATTERN...",
		Short: "Say which pipelines and projects may use a secret, instead of those that may",
		Example: `  towline secret allow web/db web 'api-*'
  towline secret allow web/db project:web-image
  towline secret allow web/db '*'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return between(2, "NAME", "PATTERN")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.setSecret(cmd.Context(), client.SecretRequest{Name: args[0], Users: args[1:]})
		},
	}
}

func (c *command) setSecret(ctx context.Context, req client.SecretRequest) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	changed, err := api.SetSecret(ctx, req)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(changed)
	}
	fmt.Fprintf(c.Out, "%s · version %d · for %s\n", changed.Name, changed.Version, strings.Join(changed.Users, ", "))
	return nil
}

// secretValue reads a value: from the file, from standard input, or from a
// person.
func (c *command) secretValue(name, path string) (string, error) {
	in := c.In
	if terminal, ok := c.In.(*os.File); ok && path == "" && term.IsTerminal(int(terminal.Fd())) {
		fmt.Fprintf(c.Err, "value of %s (it is not shown): ", name)
		text, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(c.Err)
		if err != nil {
			return "", fmt.Errorf("read the value: %w", err)
		}
		in = strings.NewReader(string(text))
	}
	if path != "" && path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("--from-file: %w", err)
		}
		defer file.Close()
		in = file
	}
	// Two more for the line end that is left out.
	text, err := io.ReadAll(io.LimitReader(in, secret.MaxValue+3))
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	value := oneLine(string(text))
	switch {
	case value == "":
		return "", errors.New("the value is empty: write it to standard input, or name a file with --from-file")
	case len(value) > secret.MaxValue:
		return "", fmt.Errorf("the value is longer than %d KiB, the most that is kept: keep large files in an artifact or a bucket, and the key to it here", secret.MaxValue>>10)
	}
	return value, nil
}

// oneLine leaves out the line's end of a text that is one line.
func oneLine(text string) string {
	line := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if strings.ContainsAny(line, "\r\n") {
		return text
	}
	return line
}

func (c *command) listSecrets(ctx context.Context) error {
	return list[client.Secret]{
		fetch:  (*client.Client).Secrets,
		header: []string{"SECRET", "VERSION", "UPDATED", "FOR"},
		row: func(s client.Secret) []string {
			return []string{s.Name, fmt.Sprint(s.Version), s.Updated.Local().Format(time.DateTime), strings.Join(s.Users, ", ")}
		},
	}.print(ctx, c)
}
