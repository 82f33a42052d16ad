package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

// notificationFlags say who is told of what. Secrets come from files or
// standard input: every process of a machine sees its command lines.
type notificationFlags struct {
	request               client.NotificationRequest
	mail                  client.MailServer
	urlFile, secretFile   string
	passwordFile          string
	events, pipelines, to []string
}

func (c *command) notificationAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Tell somebody what happens from now on",
		Long: `Tell somebody what happens from now on. Where it goes is stored with the server,
encrypted, and not shown again. Secrets, and URLs that hold one, are read from
files or from standard input ("-").`,
	}
	cmd.AddCommand(c.addWebhookCommand(), c.addSlackCommand(), c.addEmailCommand())
	return cmd
}

func (c *command) addWebhookCommand() *cobra.Command {
	given := &notificationFlags{request: client.NotificationRequest{Kind: "webhook"}}
	cmd := &cobra.Command{
		Use:   "webhook NAME",
		Short: "Send events as JSON to a URL, signed",
		Long: `Send events as JSON to a URL: in the shape in which CodePipeline's come from
EventBridge, signed as Standard Webhooks describes it. The secret is made, and
shown this once, when none is given.`,
		Example: `  towline notification add webhook ops --url https://ops.example.org/towline
  towline notification add webhook audit --url-file url.txt --pipelines 'shop-*' --events stage --failed`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.addNotification(cmd.Context(), args[0], given) },
	}
	given.register(cmd, "all of them")
	cmd.Flags().StringVar(&given.request.URL, "url", "", "where to send; with a secret in it, use --url-file")
	cmd.Flags().StringVar(&given.urlFile, "url-file", "", "file of the URL")
	cmd.Flags().StringVar(&given.secretFile, "secret-file", "", "file of the secret that signs: whsec_ and 24 to 64 bytes in base 64")
	cmd.MarkFlagsMutuallyExclusive("url", "url-file")
	return cmd
}

func (c *command) addSlackCommand() *cobra.Command {
	given := &notificationFlags{request: client.NotificationRequest{Kind: "slack"}}
	cmd := &cobra.Command{
		Use:   "slack NAME",
		Short: "Write to a chat by an incoming webhook, as Slack has them",
		Long: `Write to a chat by an incoming webhook, as Slack has them; Mattermost, Rocket.Chat
and Discord (with /slack at the end of the URL) take the same form.`,
		Example: `  towline notification add slack team --url-file - --failed < url.txt
  towline notification add slack releases --url-file url.txt --events pipeline,approval`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.addNotification(cmd.Context(), args[0], given) },
	}
	given.register(cmd, "pipeline and approval")
	cmd.Flags().StringVar(&given.urlFile, "url-file", "", "file of the webhook's URL, which is its password")
	return cmd
}

func (c *command) addEmailCommand() *cobra.Command {
	given := &notificationFlags{request: client.NotificationRequest{Kind: "email"}}
	cmd := &cobra.Command{
		Use:   "email NAME",
		Short: "Send mail by SMTP",
		Long: `Send mail by SMTP: encrypted with STARTTLS, or not at all, unless --security says
otherwise.`,
		Example: `  towline notification add email ann --smtp mail.example.org:587 --from towline@example.org --to ann@example.org \
    --user towline --password-file password.txt --failed`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			given.request.SMTP = &given.mail
			return c.addNotification(cmd.Context(), args[0], given)
		},
	}
	given.register(cmd, "pipeline and approval")
	cmd.Flags().StringVar(&given.mail.Server, "smtp", "", "mail server, HOST:PORT")
	cmd.Flags().StringVar(&given.mail.Security, "security", "starttls", "starttls; tls, from the first byte; or none, for a server on the same machine")
	cmd.Flags().StringVar(&given.mail.From, "from", "", "address that it comes from")
	cmd.Flags().StringSliceVar(&given.to, "to", nil, "address that it goes to; may be repeated")
	cmd.Flags().StringVar(&given.mail.User, "user", "", "user to sign in as")
	cmd.Flags().StringVar(&given.passwordFile, "password-file", "", "file of the password")
	return cmd
}

// register adds what all kinds have.
func (f *notificationFlags) register(cmd *cobra.Command, events string) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.pipelines, "pipelines", nil, "pattern of the names of pipelines, default all; may be repeated")
	flags.StringSliceVar(&f.events, "events", nil, "of pipeline, stage, action and approval; default "+events)
	flags.BoolVar(&f.request.Failed, "failed", false, "of pipelines, stages and actions only those that failed")
}

// read completes the request, with the files and standard input.
func (f *notificationFlags) read(c *command) (client.NotificationRequest, error) {
	in := inputs{stdin: c.In}
	r := f.request
	if f.urlFile != "" {
		r.URL = strings.TrimSpace(in.text("url-file", f.urlFile))
	}
	r.Secret = strings.TrimSpace(in.text("secret-file", f.secretFile))
	f.mail.Password = strings.TrimRight(in.text("password-file", f.passwordFile), "\r\n")
	f.mail.To = f.to
	r.Events, r.Pipelines = f.events, f.pipelines
	if in.err != nil {
		return r, in.err
	}
	switch {
	case r.SMTP == nil && r.URL == "":
		return r, usageError{errors.New("where is it to be sent? Give the URL with --url-file FILE")}
	case r.SMTP != nil && (r.SMTP.Server == "" || r.SMTP.From == "" || len(r.SMTP.To) == 0):
		return r, usageError{errors.New("mail needs --smtp HOST:PORT, --from ADDRESS and --to ADDRESS")}
	}
	return r, nil
}

func (c *command) addNotification(ctx context.Context, name string, given *notificationFlags) error {
	request, err := given.read(c)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	made, err := api.AddNotification(ctx, name, request)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(made)
	}
	if made.Made != "" {
		fmt.Fprintln(c.Out, made.Made)
		fmt.Fprintln(c.Err, "the line above is the secret that signs, shown this once")
	}
	fmt.Fprintf(c.Err, "notification %s goes to %s; try it with: towline notification test %s\n", made.Name, made.To, made.Name)
	return nil
}
