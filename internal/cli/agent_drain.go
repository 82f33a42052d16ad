package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/drain"
)

// agentDrainCommand is the draining proxy of a pod, and what begins its drain.
func (c *command) agentDrainCommand() *cobra.Command {
	var config drain.Config
	cmd := &cobra.Command{
		Use:   "drain LISTEN=TARGET...",
		Short: "Relay to an application in the same pod, and empty the pod before it ends",
		Long: `Relay connections to an application in the same pod. When a drain begins, go on
for the detach time, tell each client with its next answer to close its
connection, close idle connections last, and answer what is in flight. It is
drained when GET /drained on the admin port answers.

A drain is begun by "towline agent drain begin" in the same pod, or by
SIGTERM.`,
		Example: `  towline agent drain 15191=8080 --detach 10s`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, text := range args {
				pair, err := drain.ParsePair(text)
				if err != nil {
					return usageError{err}
				}
				config.Pairs = append(config.Pairs, pair)
			}
			config.Logger = slog.New(slog.NewJSONHandler(c.Err, nil))
			return drain.Serve(cmd.Context(), config)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&config.Detach, "detach", drain.DefaultDetach, "how long clients that know nothing of the pod's end are still served")
	flags.DurationVar(&config.Longest, "longest", drain.DefaultLongest, "how long a request that is in flight after that may take")
	flags.IntVar(&config.Admin, "admin", drain.DefaultAdmin, "port that answers /readyz and /drained")
	cmd.AddCommand(c.agentDrainBeginCommand())
	return cmd
}

func (c *command) agentDrainBeginCommand() *cobra.Command {
	var admin int
	cmd := &cobra.Command{
		Use:     "begin",
		Short:   "Begin the drain of this pod",
		Example: `  towline agent drain begin`,
		Args:    between(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return drain.Begin(cmd.Context(), admin) },
	}
	cmd.Flags().IntVar(&admin, "admin", drain.DefaultAdmin, "admin port of the draining proxy")
	return cmd
}
