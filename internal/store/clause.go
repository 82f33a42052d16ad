package store

import (
	"fmt"
	"strings"
)

// clause chooses and sorts the rows of a list by their sequence.
type clause struct {
	where []string
	args  []any
}

// is chooses the rows with a value, unless it is "".
func (c *clause) is(column, value string) {
	if value != "" {
		c.args = append(c.args, value)
		c.where = append(c.where, fmt.Sprintf(`%s = $%d`, column, len(c.args)))
	}
}

// page is the rest of a query: so many rows behind a sequence, the last one
// first or the first one.
func (c *clause) page(ascending bool, after int64, limit int) (query string, args []any) {
	order := ` ORDER BY sequence DESC`
	if ascending {
		order = ` ORDER BY sequence`
	}
	if after > 0 {
		c.args = append(c.args, after)
		c.where = append(c.where, fmt.Sprintf(map[bool]string{true: `sequence > $%d`, false: `sequence < $%d`}[ascending], len(c.args)))
	}
	if len(c.where) > 0 {
		order = `WHERE ` + strings.Join(c.where, ` AND `) + order
	}
	c.args = append(c.args, limit)
	return order + fmt.Sprintf(` LIMIT $%d`, len(c.args)), c.args
}
