package localkube

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// nft gives the rules to the kernel in one transaction, in the calling
// thread's network namespace.
func nft(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run nft: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}
