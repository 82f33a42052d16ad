package cli

import (
	"context"

	"github.com/towline/towline/internal/client"
)

// list is what a command prints of things that the server has many of.
type list[T any] struct {
	// fetch asks for them, such as (*client.Client).Functions.
	fetch  func(api *client.Client, ctx context.Context) ([]T, error)
	header []string
	// row is one of them in the table. It may warn on standard error.
	row func(T) []string
}

// print asks the server and prints the table, or all that it says as JSON.
func (l list[T]) print(ctx context.Context, c *command) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := l.fetch(api, ctx)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(found)
	}
	var rows [][]string
	for _, one := range found {
		rows = append(rows, l.row(one))
	}
	return c.table(l.header, rows)
}
