package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

// The two things that "cluster" is about, kept apart in the help.
const (
	groupLocal  = "local"
	groupStored = "stored"
)

// clustersCommands are about the clusters that deploy actions name. They work
// against the server.
func (c *command) clustersCommands() []*cobra.Command {
	commands := []*cobra.Command{
		c.clusterAddCommand(),
		{
			Use: "list", Short: "List the clusters that deploy actions can name",
			Long: `List the clusters that deploy actions can name: those stored with the server,
then the contexts of the server's kubeconfig.`,
			Example: "  towline cluster list", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listClusters(cmd.Context()) },
		},
		c.clusterTestCommand(),
		{
			Use: "remove NAME", Short: "Forget a stored cluster and its credential",
			Long:    "Forget a stored cluster and its credential. What runs on the cluster stays.",
			Example: "  towline cluster remove production", Args: exactly("NAME"),
			RunE: func(cmd *cobra.Command, args []string) error {
				api, err := c.client()
				if err != nil {
					return err
				}
				if err := api.RemoveCluster(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(c.Err, "cluster %s is forgotten\n", args[0])
				return nil
			},
		},
		{
			Use: "rekey", Short: "Make a new key and encrypt everything that is stored encrypted with it",
			Long: `Make a new key and encrypt everything that is stored encrypted with it: clusters,
secrets, access keys, mirrors, signing keys. The old keys stay in the file "keys" of
the server's data directory, for older backups of the database; take their lines out
once no such backup is needed.`,
			Example: "  towline cluster rekey", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				api, err := c.client()
				if err != nil {
					return err
				}
				done, err := api.RekeyClusters(cmd.Context())
				if err != nil {
					return err
				}
				if c.output == "json" {
					return c.printJSON(done)
				}
				fmt.Fprintf(c.Out, "encrypted anew: %d\n", done.Clusters)
				return nil
			},
		},
	}
	for _, cmd := range commands {
		cmd.GroupID = groupStored
	}
	return commands
}

func (c *command) listClusters(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Clusters(ctx)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(found)
	}
	var rows [][]string
	for _, cluster := range found {
		rows = append(rows, clusterRow(cluster))
	}
	if err := c.table([]string{"CLUSTER", "KIND", "USER", "SERVER", "EXPIRES"}, rows); err != nil {
		return err
	}
	for _, cluster := range found {
		c.warn(cluster)
	}
	return nil
}

func clusterRow(cluster client.Cluster) []string {
	if !cluster.Stored {
		return []string{cluster.Name, "context", "", "", ""}
	}
	if cluster.Credential == nil {
		return []string{cluster.Name, "unreadable", "", "", ""}
	}
	expires := ""
	if cluster.Expires != nil {
		expires = cluster.Expires.UTC().Format(time.RFC3339)
	}
	return []string{cluster.Name, cluster.Credential.Kind, cluster.User, cluster.Credential.Server, expires}
}

// warn tells what is to be known of a cluster on standard error.
func (c *command) warn(cluster client.Cluster) {
	for _, warning := range cluster.Warnings {
		fmt.Fprintf(c.Err, "warning: cluster %s: %s\n", cluster.Name, warning)
	}
	if cluster.Problem != "" {
		fmt.Fprintf(c.Err, "problem: cluster %s: %s\n", cluster.Name, cluster.Problem)
	}
}

func (c *command) clusterTestCommand() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Ask a cluster who Towline is there, and which rights are missing",
		Long: `Ask a cluster, stored or a context of the server's kubeconfig, for its version,
who it takes Towline for, and which of the rights that a deployment needs are
missing in a namespace. The exit code is 3 when the cluster does not answer or a
right is missing.`,
		Example: `  towline cluster test production --namespace web`,
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			test, err := api.TestCluster(cmd.Context(), args[0], namespace)
			if err != nil {
				return err
			}
			return c.printClusterTest(test)
		},
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace whose rights are looked at, default the credential's own")
	return cmd
}

func (c *command) printClusterTest(test client.ClusterTest) error {
	good := test.Problem == "" && len(test.Missing) == 0
	if c.output == "json" {
		if err := c.printJSON(test); err != nil {
			return err
		}
	} else {
		c.printClusterFacts(test)
	}
	if !good {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *command) printClusterFacts(test client.ClusterTest) {
	line := func(what, text string, args ...any) {
		fmt.Fprintf(c.Out, "%-10s "+text+"\n", append([]any{what}, args...)...)
	}
	from := "a context of the server's kubeconfig"
	if test.Stored {
		from = "stored"
	}
	line("cluster", "%s (%s)", test.Name, from)
	line("server", "%s", test.Server)
	if test.Reachable {
		line("reachable", "yes, Kubernetes %s", test.Version)
	} else {
		line("reachable", "no")
	}
	if test.User != "" {
		line("user", "%s (groups: %s)", test.User, strings.Join(test.Groups, ", "))
	}
	for _, warning := range test.Warnings {
		line("warning", "%s", warning)
	}
	if test.Problem != "" {
		line("problem", "%s", test.Problem)
		return
	}
	if len(test.Missing) == 0 {
		line("rights", "all %d that a deployment to namespace %s needs", test.Wanted, test.Namespace)
	} else {
		line("rights", "%d of %d that a deployment to namespace %s needs are missing:", len(test.Missing), test.Wanted, test.Namespace)
	}
	for _, right := range test.Missing {
		line("", "missing: %s", right)
	}
	for _, right := range test.Helpful {
		line("", "of use, in the whole cluster: %s", right)
	}
	if len(test.Missing) > 0 {
		line("mend", "bind the user a Role with them; docs/deploying/clusters.md has one ready")
	}
}
