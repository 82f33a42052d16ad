package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
)

func (c *command) diffCommand() *cobra.Command {
	var where place
	cmd := &cobra.Command{
		Use:   "diff [APP]",
		Short: "Show what somebody has changed since the last good revision of an application",
		Long: `Compare the live objects of an application with its last good revision, which
the cluster's own journal keeps: what was changed, field by field, and by whom;
what is missing; and what carries the application's marks without being in any
revision. Fields that no revision sets are nobody's business and not shown.
Values of Secrets are masked. Nothing is changed; neither git nor a server is
needed. A rollback brings back what has drifted ("towline rollback web
--to 7" when 7 is the running revision); a deployment is refused where it would
overwrite a field that somebody else has set.

It exits with 0 when nothing has drifted, with 1 when something has, as diff
does, and with 2 when the two could not be compared.`,
		Example: `  towline diff web
  towline diff --namespace shop        all applications of a namespace
  towline diff web -o json | jq .objects`,
		Args: between(0, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := c.diff(cmd, where, args)
			if err != nil {
				return c.cannotTell(err)
			}
			return nil
		},
	}
	where.flags(cmd)
	return cmd
}

func (c *command) diff(cmd *cobra.Command, where place, args []string) error {
	deployer, err := where.deployer()
	if err != nil {
		return err
	}
	apps, err := where.applications(cmd.Context(), deployer, args)
	if err != nil {
		return err
	}
	drifts := []deploy.Drift{}
	found := false
	for _, app := range apps {
		drift, err := deployer.Drift(cmd.Context(), app.namespace, app.name)
		if err != nil {
			return err
		}
		found = found || len(drift.Objects) > 0
		drifts = append(drifts, drift)
	}
	if c.output == "json" {
		err = c.printJSON(drifts)
	} else {
		for _, drift := range drifts {
			c.printDrift(drift)
		}
	}
	if err == nil && found {
		return exitCode(exitError)
	}
	return err
}

func (c *command) printDrift(d deploy.Drift) {
	fmt.Fprintf(c.Out, "%s in namespace %s, against revision %d: ", d.App, d.Namespace, d.Revision)
	if len(d.Objects) == 0 {
		fmt.Fprintf(c.Out, "no drift in %d objects\n", d.Compared)
	} else {
		fmt.Fprintf(c.Out, "%d of %d objects have drifted\n", len(d.Objects), d.Compared)
	}
	if d.UnderWay > 0 {
		fmt.Fprintf(c.Out, "  revision %d is under way, or was interrupted: what it has changed is in this as well\n", d.UnderWay)
	}
	c.printChanges(d.Objects)
}
