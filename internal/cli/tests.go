package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) testsCommand() *cobra.Command {
	var flaky bool
	var runs int
	cmd := &cobra.Command{
		Use:   "tests PIPELINE",
		Short: "Show which tests of a pipeline fail, which are flaky, and the coverage over time",
		Long: `Show what the reports of a pipeline's builds say: for each action the tests
that failed in its last run, with the message; the flaky ones, which failed and
passed on the same commit or which change again and again; and how much of the
code the tests have run, over the last runs.`,
		Example: `  towline tests web
  towline tests web --flaky --runs 50
  towline tests web -o json`,
		Args: exactly("PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			actions, err := api.Tests(cmd.Context(), args[0], runs)
			if err != nil {
				return err
			}
			if flaky {
				for i := range actions {
					actions[i].Tests = slices.DeleteFunc(actions[i].Tests, func(t pipeline.TestHistory) bool { return t.Flaky == "" })
				}
			}
			if c.output == "json" {
				return c.printJSON(actions)
			}
			if len(actions) == 0 {
				fmt.Fprintf(c.Err, "no build of %s has had a report yet: name its files under reports in the buildspec\n", args[0])
			}
			for _, action := range actions {
				fmt.Fprintln(c.Out, strings.Join(showTests(action, flaky), "\n"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&flaky, "flaky", false, "only the flaky tests")
	cmd.Flags().IntVar(&runs, "runs", 20, "how many runs of each action are compared, up to 50")
	return cmd
}

// showTests draws an action: a headline, the tests, and the coverage.
func showTests(a client.TestedAction, flaky bool) []string {
	newest := a.Runs[0]
	lines := []string{strings.TrimRight(fmt.Sprintf("%s/%s  %s  %s %s  %s", a.Stage, a.Action, newest.Execution,
		newest.Branch, pipeline.Revision{Commit: newest.Commit}.Short(), counts(newest.Totals)), " ")}
	for _, t := range a.Tests {
		lines = append(lines, showTest(t)...)
	}
	if flaky && len(a.Tests) == 0 {
		lines = append(lines, fmt.Sprintf("   no flaky test in %d runs", len(a.Runs)))
	}
	if line := coverage(a.Runs); line != "" && !flaky {
		lines = append(lines, line)
	}
	return lines
}

// counts is what a run's reports said, in a few words.
func counts(r pipeline.TestReport) string {
	if r.Tests() == 0 {
		return ""
	}
	words := []string{fmt.Sprintf("%d passed", r.Passed)}
	if r.Failed > 0 {
		words = append(words, fmt.Sprintf("%d failed", r.Failed))
	}
	if r.Skipped > 0 {
		words = append(words, fmt.Sprintf("%d skipped", r.Skipped))
	}
	return fmt.Sprintf("%s  %.1fs", strings.Join(words, ", "), r.Seconds)
}

func showTest(t pipeline.TestHistory) []string {
	mark, how := "~", fmt.Sprintf("failed in %d of %d runs, last in %s", t.Failed, t.Runs, t.LastFailed)
	if t.Status == pipeline.TestFailing {
		mark, how = marks[pipeline.StatusFailed], fmt.Sprintf("failed in %d of %d runs, since %s", t.Failed, t.Runs, t.Since)
	}
	lines := []string{fmt.Sprintf(" %s %s  %s", mark, printable(strings.TrimSpace(t.Suite+" "+t.Name)), how)}
	if t.Flaky != "" {
		lines = append(lines, "     flaky: "+printable(t.Flaky))
	}
	const most = 5
	for i, line := range strings.Split(strings.TrimSpace(t.Message), "\n") {
		if i == most {
			lines = append(lines, "     ...")
			break
		}
		if line = strings.TrimRight(line, "\r "); line != "" {
			lines = append(lines, "     "+printable(line))
		}
	}
	return lines
}

// bars are eighths of the height of a line.
var bars = []rune("▁▂▃▄▅▆▇█")

// coverage shows how much of the code the tests have run, the newest run last,
// and how that differs from the run before.
func coverage(runs []pipeline.TestRun) string {
	var percents []float64
	var newest *pipeline.Coverage
	for _, run := range slices.Backward(runs) {
		if run.Totals.Coverage != nil {
			newest = run.Totals.Coverage
			percents = append(percents, newest.Percent())
		}
	}
	if newest == nil {
		return ""
	}
	var trend strings.Builder
	for _, percent := range percents {
		trend.WriteRune(bars[min(int(percent/100*float64(len(bars))), len(bars)-1)])
	}
	line := fmt.Sprintf("   coverage  %s %.1f%% of %d lines", trend.String(), newest.Percent(), newest.Lines)
	if newest.Branches > 0 {
		line += fmt.Sprintf(", %.1f%% of %d branches", 100*float64(newest.BranchesCovered)/float64(newest.Branches), newest.Branches)
	}
	if n := len(percents); n > 1 {
		line += fmt.Sprintf(" (%+.1f since the run before)", percents[n-1]-percents[n-2])
	}
	return line
}
