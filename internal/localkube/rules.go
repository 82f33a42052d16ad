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
	return feed(exec.CommandContext(ctx, "nft", "-f", "-"), rules)
}

// iptables adds the rules, in the form of iptables-save, to those of the
// calling thread's network namespace.
func iptables(ctx context.Context, rules string) error {
	return feed(exec.CommandContext(ctx, "iptables-restore", "--noflush"), rules)
}

// feed runs a command that reads rules.
func feed(cmd *exec.Cmd, rules string) error {
	cmd.Stdin = strings.NewReader(rules)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w: %s", cmd.Args[0], err, strings.TrimSpace(out.String()))
	}
	return nil
}
