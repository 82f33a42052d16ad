package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// notes is where the part of a page begins that is written by hand.
const notes = "## What the figures say\n"

// Page writes the figures to a file, as Markdown. What people have written about
// them stays. An empty name writes nothing.
func Page(file, figures string) error {
	if file == "" {
		return nil
	}
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the last page: %w", err)
	}
	if _, kept, ok := strings.Cut("\n"+string(before), "\n"+notes); ok {
		figures = strings.TrimRight(figures, "\n") + "\n\n" + notes + kept
	}
	if err := os.WriteFile(file, []byte(figures), 0o644); err != nil { //nolint:gosec // a page of the documentation
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
