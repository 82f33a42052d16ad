package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/localkube"
)

func (c *command) clusterCommand() *cobra.Command {
	var settings localkube.Config
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Store the clusters to deploy to, or run a real Kubernetes on this machine",
		Long: `Two things. Clusters to deploy to are stored with the server, with encrypted
credentials, and deploy actions name them: add, list, test, remove, rekey.

The local cluster is a real Kubernetes on this machine, for trying things out and
for tests: up, down, status, kubeconfig. It is compiled from Go modules: the first
time takes 7 to 15 minutes on two cores, later starts ten seconds to half a
minute. It needs root.`,
	}
	cmd.AddGroup(&cobra.Group{ID: groupStored, Title: "Clusters to deploy to, stored with the server:"},
		&cobra.Group{ID: groupLocal, Title: "The local cluster on this machine:"})
	up := &cobra.Command{
		Use:   "up",
		Short: "Bring the local cluster up, or repair it, and wait until it is ready",
		Example: `  towline cluster up
  towline cluster up --nodes 3
  export KUBECONFIG=$(towline cluster kubeconfig)`,
		Args: exactly(),
	}
	up.Flags().IntVar(&settings.Nodes, "nodes", 1, "number of nodes; 0 makes a control plane only")
	up.Flags().StringVar(&settings.Source, "source", "", "localkube directory of Towline's source tree, default the one this program was built from")
	// with runs one verb on the cluster that the flags name.
	with := func(verb func(*localkube.Cluster, context.Context) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			cluster, err := c.cluster(settings)
			if err != nil {
				return err
			}
			return verb(cluster, cmd.Context())
		}
	}
	up.RunE = with((*localkube.Cluster).Up)
	local := []*cobra.Command{
		up,
		{
			Use: "down", Short: "Take the local cluster down and remove every trace of it but the compiled binaries",
			Example: "  towline cluster down", Args: exactly(), RunE: with((*localkube.Cluster).Down),
		},
		{
			Use: "status", Short: "Show the local cluster's processes and nodes",
			Example: "  towline cluster status", Args: exactly(), RunE: with(c.clusterStatus),
		},
		{
			Use: "kubeconfig", Short: "Print the path of the local cluster's kubeconfig",
			Example: "  kubectl --kubeconfig $(towline cluster kubeconfig) get pods -A", Args: exactly(), RunE: with(c.clusterKubeconfig),
		},
		{Use: "supervise", Hidden: true, Args: exactly(), RunE: with((*localkube.Cluster).Supervise)},
	}
	for _, verb := range local {
		verb.GroupID = groupLocal
		verb.Flags().StringVar(&settings.Name, "name", localkube.DefaultName, "name of the local cluster")
	}
	cmd.AddCommand(local...)
	cmd.AddCommand(c.clustersCommands()...)
	return cmd
}

func (c *command) clusterKubeconfig(cluster *localkube.Cluster, _ context.Context) error {
	if _, err := os.Stat(cluster.Kubeconfig()); err != nil {
		return errors.New("the cluster is not up: bring it up with \"towline cluster up\"")
	}
	fmt.Fprintln(c.Out, cluster.Kubeconfig())
	return nil
}

// cluster is the local cluster, which tells its progress on standard error.
func (c *command) cluster(settings localkube.Config) (*localkube.Cluster, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	settings.Supervisor = []string{exe, "cluster", "supervise", "--name", settings.Name}
	settings.Progress = func(line string) { fmt.Fprintln(c.Err, line) }
	return localkube.New(settings)
}

func (c *command) clusterStatus(cluster *localkube.Cluster, ctx context.Context) error {
	status, err := cluster.Status(ctx)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(status)
	}
	if !status.Up {
		fmt.Fprintf(c.Out, "cluster %s is not up\n", status.Name)
		return nil
	}
	health := "healthy"
	if !status.Healthy {
		health = "not healthy"
	}
	fmt.Fprintf(c.Out, "cluster %s is up and %s: %s, kubeconfig %s\n", status.Name, health, status.Server, status.Kubeconfig)
	for _, problem := range status.Problems {
		fmt.Fprintln(c.Out, "problem:", problem)
	}
	var rows [][]string
	for _, node := range status.Nodes {
		rows = append(rows, []string{node.Name, node.Address, strconv.FormatBool(node.Ready)})
	}
	if err := c.table([]string{"NODE", "ADDRESS", "READY"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, component := range status.Components {
		rows = append(rows, []string{component.Name, strconv.Itoa(component.PID), strconv.Itoa(component.Restarts), component.Log})
	}
	return c.table([]string{"COMPONENT", "PID", "RESTARTS", "LOG"}, rows)
}
