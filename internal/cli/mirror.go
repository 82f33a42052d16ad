package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) mirrorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Take pipelines' sources from repositories elsewhere",
		Long: `Take pipelines' sources from repositories elsewhere: on GitHub, GitLab, Gitea,
Forgejo, Bitbucket or any git server. A mirror is fetched when its forge tells of
a change by a webhook, and looked at now and then in case a message was lost.`,
	}
	cmd.AddCommand(c.mirrorAddCommand(), c.mirrorListCommand(), c.mirrorRemoveCommand())
	return cmd
}

func (c *command) mirrorAddCommand() *cobra.Command {
	var req client.MirrorRequest
	var password, key, hosts, status string
	cmd := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Mirror a repository, and print where its forge is to send webhooks",
		Long: `Mirror a repository under a name, and print the address and the secret of its
webhook: enter both at the forge, with the content type application/json, for
pushes, tags and pull requests. The secret is shown this once. Pipelines that
watch its branches run at once; the tags that it has are old. Secrets are read
from files, or with - from standard input, and are encrypted at rest.

With --replace a mirror that there is changes: what is not given stays as it is.
Credentials and tokens stay only while the address leads to the same server. To
be rid of them, remove the mirror and add it again.`,
		Example: `  towline mirror add web https://github.com/acme/web.git --password-file token.txt
  towline mirror add web git@gitlab.example.com:acme/web.git --forge gitlab --key-file id_ed25519 --known-hosts-file known_hosts
  towline mirror add web https://github.com/acme/web.git --password-file - --status-token-file token.txt --replace`,
		Args: exactly("NAME", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name, req.URL = args[0], args[1]
			for _, file := range []struct {
				path string
				into *string
			}{{password, &req.Password}, {key, &req.PrivateKey}, {hosts, &req.KnownHosts}, {status, &req.StatusToken}} {
				text, err := c.secretFrom(file.path)
				if err != nil {
					return err
				}
				*file.into = text
			}
			api, err := c.client()
			if err != nil {
				return err
			}
			made, err := api.AddMirror(cmd.Context(), req)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(made)
			}
			_, err = fmt.Fprintf(c.Out, "webhook  %s\nsecret   %s\n", made.Webhook, made.Secret)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Forge, "forge", "", "who sends webhooks: github, gitlab, gitea, forgejo or bitbucket; default whoever signs them")
	flags.StringVar(&req.Interval, "interval", "", "how often it is looked at when nothing tells of a change, default 5m")
	flags.StringVar(&req.Username, "username", "", "user name at the forge; not needed with most tokens")
	flags.StringVar(&password, "password-file", "", "file with the password or token")
	flags.StringVar(&key, "key-file", "", "for ssh: file with the private key, without a passphrase")
	flags.StringVar(&hosts, "known-hosts-file", "", "for ssh: file that vouches for the host, as known_hosts does")
	flags.StringVar(&status, "status-token-file", "", "file with a token that may set the statuses of commits")
	flags.StringVar(&req.StatusAPI, "status-api", "", "address of the forge's API, default by the repository's address")
	flags.BoolVar(&req.Replace, "replace", false, "change a mirror that there is: what is not given stays, and the webhook gets a new secret")
	return cmd
}

// secretFrom reads a secret from a file, or standard input.
func (c *command) secretFrom(path string) (string, error) {
	const most = 64 << 10
	if path == "" {
		return "", nil
	}
	in := c.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return string(text), nil // which ends with a line's end
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func (c *command) mirrorListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the mirrors and what the last looks at them found", Example: "  towline mirror list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list[client.Mirror]{
				fetch:  (*client.Client).Mirrors,
				header: []string{"MIRROR", "URL", "INTERVAL", "LOOKED", "ERROR"},
				row: func(m client.Mirror) []string {
					looked := "never"
					if !m.Looked.IsZero() {
						looked = m.Looked.Local().Format(time.DateTime)
					}
					return []string{m.Name, m.URL, m.Interval, looked, printable(m.Error)}
				},
			}.print(cmd.Context(), c)
		},
	}
}

func (c *command) mirrorRemoveCommand() *cobra.Command {
	return c.onNamed("remove", "Fetch a mirror no more; its repository stays as it is", "  towline mirror remove web", func(ctx context.Context, api *client.Client, name string) error {
		if err := api.RemoveMirror(ctx, name); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.Out, "mirror %s is fetched no more\n", name)
		return err
	})
}
