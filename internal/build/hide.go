package build

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/redact"
)

// hide masks what the build knew and may not show in what its reports say. The
// values are asked for once more: they are not kept.
func hide(ctx context.Context, b Build, reports []pipeline.Report) error {
	if b.Values == nil || len(reports) == 0 {
		return nil
	}
	values, err := b.Values(ctx)
	if err != nil {
		return fmt.Errorf("hide secrets in the build's reports: %w", err)
	}
	secrets := redact.New(values.Hidden()...)
	for i := range reports {
		for j := range reports[i].Cases {
			c := &reports[i].Cases[j]
			c.Suite, c.Name, c.Message = secrets.String(c.Suite), secrets.String(c.Name), secrets.String(c.Message)
		}
	}
	return nil
}
