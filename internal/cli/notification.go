package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) notificationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notification",
		Short: "Tell webhooks, chats and mailboxes what happens to executions",
		Long: `Tell webhooks, chats and mailboxes what happens to executions. What cannot be
delivered is tried again for a day; then it is dead, kept, and can be sent again.`,
	}
	cmd.AddCommand(
		c.notificationAddCommand(),
		&cobra.Command{
			Use: "list", Short: "List who is told of what", Example: "  towline notification list", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listNotifications(cmd.Context()) },
		},
		c.onNamed("remove", "Tell somebody no more, nor what still waits for them", "  towline notification remove team", func(ctx context.Context, api *client.Client, name string) error {
			if err := api.RemoveNotification(ctx, name); err != nil {
				return err
			}
			fmt.Fprintf(c.Err, "notification %s is removed\n", name)
			return nil
		}),
		c.onNamed("test", "Send a test at once", "  towline notification test team", c.testNotification),
		c.notificationDeadCommand(),
		c.redeliverCommand(),
	)
	return cmd
}

func (c *command) listNotifications(ctx context.Context) error {
	return list[client.Notification]{
		fetch:  (*client.Client).Notifications,
		header: []string{"NAME", "KIND", "TO", "EVENTS", "PENDING", "DEAD", "LAST"},
		row: func(n client.Notification) []string {
			about := strings.Join(n.Events, ",")
			if n.Failed {
				about += " failed"
			}
			if len(n.Pipelines) > 0 {
				about += " of " + strings.Join(n.Pipelines, ",")
			}
			arrived := "never"
			if n.Arrived != nil {
				arrived = n.Arrived.UTC().Format(time.DateTime)
			}
			for _, problem := range []string{n.Problem, n.Error} {
				if problem != "" {
					fmt.Fprintf(c.Err, "towline: warning: %s: %s\n", n.Name, problem)
				}
			}
			return []string{n.Name, n.Kind, n.To, about, strconv.Itoa(n.Pending), strconv.Itoa(n.Dead), arrived}
		},
	}.print(ctx, c)
}

// testNotification exits with the code of what did not succeed when the test
// does not arrive.
func (c *command) testNotification(ctx context.Context, api *client.Client, name string) error {
	test, err := api.TestNotification(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case c.output == "json":
		if err := c.printJSON(test); err != nil {
			return err
		}
	case test.Delivered:
		fmt.Fprintf(c.Out, "%s: the test arrived\n", name)
	default:
		fmt.Fprintf(c.Out, "%s: the test did not arrive: %s\n", name, test.Problem)
	}
	if !test.Delivered {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *command) notificationDeadCommand() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use:   "dead [NAME]",
		Short: "List what was given up, newest first",
		Long:  "List what was given up, newest first: of one notification, or of all.",
		Example: `  towline notification dead
  towline notification dead team --limit 10`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return list[client.DeadNotification]{
				fetch: func(api *client.Client, ctx context.Context) ([]client.DeadNotification, error) {
					return api.DeadNotifications(ctx, strings.Join(args, ""), limit)
				},
				header: []string{"ID", "NOTIFICATION", "EVENT", "ATTEMPTS", "GIVEN UP", "ERROR"},
				row: func(n client.DeadNotification) []string {
					return []string{strconv.FormatInt(n.ID, 10), n.Notification, n.Title, strconv.Itoa(n.Attempts), n.Tried.UTC().Format(time.DateTime), n.Error}
				},
			}.print(cmd.Context(), c)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 1000")
	return cmd
}

func (c *command) redeliverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver NAME [ID]",
		Short: "Send what was given up again",
		Long:  `Send what was given up again, all of it or one event, with the ids that it had. It has another day.`,
		Example: `  towline notification redeliver team
  towline notification redeliver team 4711`,
		Args: between(1, "NAME", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id int64
			if len(args) > 1 {
				var err error
				if id, err = strconv.ParseInt(args[1], 10, 64); err != nil || id < 1 {
					return usageError{fmt.Errorf("%q is no id of a dead event: see towline notification dead %s", args[1], args[0])}
				}
			}
			api, err := c.client()
			if err != nil {
				return err
			}
			done, err := api.Redeliver(cmd.Context(), args[0], id)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(done)
			}
			fmt.Fprintf(c.Out, "sent again: %d\n", done.Count)
			return nil
		},
	}
}
