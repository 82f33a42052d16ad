package program

import (
	"context"
	"time"
)

// often is how often Until looks. A look is a request to another process, which
// must not be kept from what is measured.
const often = 5 * time.Millisecond

// Until looks until something holds, for another process's things that cannot
// tell of themselves. It ends with the error of a look, or with ctx.
func Until(ctx context.Context, holds func() (bool, error)) error {
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
