package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/client"
)

func (c *command) projectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "project",
		Short: "Build projects by themselves, as CodeBuild does",
		Long: `Build projects by themselves, as CodeBuild does. A project says of what source
something is built, and where; its file has the form that aws codebuild
create-project takes. Builds of it are started here, by the aws command, or by
the action CodeBuild of a pipeline.`,
	}
	cmd.AddCommand(c.projectListCommand(), c.projectShowCommand(), c.projectPutCommand(), c.projectDeleteCommand(),
		c.projectStartCommand(), c.projectBuildsCommand(), c.projectStopCommand(), c.projectRetryCommand(), c.projectLogsCommand())
	return cmd
}

func (c *command) projectListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the projects and their newest builds", Example: "  towline project list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list[client.Project]{
				fetch:  (*client.Client).Projects,
				header: []string{"PROJECT", "LAST BUILD", "STARTED"},
				row: func(p client.Project) []string {
					if p.Last == nil {
						return []string{p.Name, "none yet", ""}
					}
					return []string{p.Name, fmt.Sprintf("#%d %s", p.Last.Number, p.Last.Status), p.Last.Started.Local().Format(time.DateTime)}
				},
			}.print(cmd.Context(), c)
		},
	}
}

func (c *command) projectShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Print a project as a file that project put takes", Args: exactly("NAME"),
		Example: "  towline project show web > web.yaml\n  towline project show web -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			p, err := api.Project(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(p.Definition)
			}
			text, err := yaml.JSONToYAML(p.Definition)
			if err != nil {
				return fmt.Errorf("print project %s: %w", p.Name, err)
			}
			_, err = c.Out.Write(text)
			return err
		},
	}
}

func (c *command) projectPutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "put FILE",
		Short: "Make a project, or give one another definition",
		Long: `Make a project, or give one another definition. The file is YAML or JSON in the
form of aws codebuild create-project --cli-input-json; - is standard input.`,
		Example: "  towline project put web.yaml\n  aws codebuild batch-get-projects --names web --query 'projects[0]' | towline project put -",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			definition, name, err := c.readProject(args[0])
			if err != nil {
				return err
			}
			api, err := c.client()
			if err != nil {
				return err
			}
			p, err := api.PutProject(cmd.Context(), name, definition)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(p)
			}
			_, err = fmt.Fprintf(c.Out, "project %s is ready: towline project start %s\n", p.Name, p.Name)
			return err
		},
	}
}

// readProject reads the file of a project and tells its name.
func (c *command) readProject(path string) (definition json.RawMessage, name string, err error) {
	in := c.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, "", err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	if definition, err = yaml.YAMLToJSON(text); err != nil {
		return nil, "", fmt.Errorf("read %s: it is neither YAML nor JSON: %w", path, err)
	}
	var named struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(definition, &named) != nil || named.Name == "" {
		return nil, "", fmt.Errorf("read %s: it is no project: it has no name", path)
	}
	return definition, named.Name, nil
}

func (c *command) projectDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a project; its builds stay", Example: "  towline project delete web", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			if err := api.DeleteProject(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.Out, "project %s is deleted\n", args[0])
			return err
		},
	}
}

func (c *command) projectBuildsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "builds [NAME]", Short: "List the builds of a project, or of all, the newest first", Args: between(0, "NAME"),
		Example: "  towline project builds web\n  towline project builds --limit 100 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return list[client.Build]{
				fetch: func(api *client.Client, ctx context.Context) ([]client.Build, error) {
					return api.Builds(ctx, strings.Join(args, ""), limit)
				},
				header: []string{"BUILD", "NUMBER", "STATUS", "STARTED", "TOOK", "BY"},
				row: func(b client.Build) []string {
					return []string{b.ID, numberOf(b), stateOf(b), b.Started.Local().Format(time.DateTime), lasted(b), printable(b.Initiator)}
				},
			}.print(cmd.Context(), c)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many, at most 200")
	return cmd
}

// numberOf is the number of a build in its project, and what part of a batch it
// is.
func numberOf(b client.Build) string {
	number := "#" + strconv.Itoa(b.Number)
	switch {
	case b.Batch:
		return "batch " + number
	case b.Part != "":
		return number + " " + b.Part
	}
	return number
}

// stateOf is how a build stands, in a word or two.
func stateOf(b client.Build) string {
	if b.Done() {
		return b.Status
	}
	return b.Status + " " + b.Phase
}

func lasted(b client.Build) string {
	end := b.Ended
	if end.IsZero() {
		return ""
	}
	return end.Sub(b.Started).Round(100 * time.Millisecond).String()
}

// errNoBuild is a project of which nothing has been built.
var errNoBuild = errors.New("nothing has been built of it yet: towline project start")
