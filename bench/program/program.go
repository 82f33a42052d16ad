// Package program is what the benches have in common: each is a program that
// measures until it is interrupted, and keeps its figures in a page. Its noun is
// the program; it does not know what is measured.
package program

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// Main parses the command line and runs a bench, which an interrupt ends. The
// process ends with the code 1 when the bench has an error.
func Main(name string, run func(ctx context.Context) error) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}
