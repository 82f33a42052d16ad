package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) repositoryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "repository", Aliases: []string{"repo"}, Short: "Create and list repositories on the built-in git server"}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "create NAME",
			Short: "Create an empty repository to push to",
			Long: `Create an empty repository to push to. Git asks for a user name, which may be
anything, and a password, which is the server's token.`,
			Example: `  towline repository create web
  git remote add towline http://127.0.0.1:8480/git/web.git
  git push towline main`,
			Args: exactly("NAME"),
			RunE: func(cmd *cobra.Command, args []string) error {
				api, err := c.client()
				if err != nil {
					return err
				}
				r, err := api.CreateRepository(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if c.output == "json" {
					return c.printJSON(r)
				}
				fmt.Fprintln(c.Out, r.URL)
				return nil
			},
		},
		&cobra.Command{
			Use:     "list",
			Short:   "List the repositories",
			Example: "  towline repository list",
			Args:    exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return list[client.Repository]{
					fetch:  (*client.Client).Repositories,
					header: []string{"REPOSITORY", "URL"},
					row: func(r client.Repository) []string {
						return []string{r.Name, r.URL}
					},
				}.print(cmd.Context(), c)
			},
		},
	)
	return cmd
}
