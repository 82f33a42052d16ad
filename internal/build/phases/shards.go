package phases

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// The variables that tell a build of a fan-out its share.
const (
	shardVariable  = "TOWLINE_SHARD"  // from 0
	shardsVariable = "TOWLINE_SHARDS" // how many there are
	// shardFiles holds the files of the share, one a line, for the command of
	// codebuild-tests-run.
	shardFiles = "CODEBUILD_CURRENT_SHARD_FILES"
)

// The strategies of codebuild-tests-run.
const (
	equally = "equal-distribution"
	stably  = "stability"
)

// Share returns the files that are the shard's, from 0, of so many, sorted. By
// "equal-distribution" no shard has more than one file more than another; by
// "stability" a file stays in its shard when others come and go.
func Share(files []string, strategy string, shard, shards int) ([]string, error) {
	files = slices.Sorted(slices.Values(files))
	files = slices.Compact(files)
	var mine []string
	for i, name := range files {
		of := i % shards
		switch strategy {
		case equally:
		case stably:
			of = home(name, shards)
		default:
			return nil, fmt.Errorf("there is no strategy %q; there are %s and %s", strategy, equally, stably)
		}
		if of == shard {
			mine = append(mine, name)
		}
	}
	return mine, nil
}

// home is the shard of a file: that with which its hash is the highest, so that
// another number of shards moves as few files as can be.
func home(name string, shards int) int {
	best, highest := 0, uint64(0)
	for i := range shards {
		sum := sha256.Sum256([]byte(strconv.Itoa(i) + " " + name))
		if h := binary.BigEndian.Uint64(sum[:]); h >= highest {
			best, highest = i, h
		}
	}
	return best
}

// testsRun is codebuild-tests-run: it runs the tests that are this build's share
// of a fan-out, all of them in another build.
func testsRun(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet(TestsRun, flag.ContinueOnError)
	flags.SetOutput(errs)
	command := flags.String("test-command", "", "`command` that runs the tests; the files are appended to it")
	search := flags.String("files-search", "", "`command` that prints the files with tests, one a line")
	strategy := flags.String("sharding-strategy", equally, equally+" or "+stably)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *command == "" || *search == "" || flags.NArg() > 0 {
		fmt.Fprintln(errs, TestsRun+": give --test-command and --files-search, each as one word in quotes")
		return 2
	}
	files, err := share(ctx, *search, *strategy, errs)
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", TestsRun, err)
		return 1
	}
	if len(files) == 0 {
		fmt.Fprintln(out, TestsRun+": no file with tests is this build's share")
		return 0
	}
	script := strings.TrimSpace(*command)
	if !strings.Contains(script, shardFiles) {
		script += ` "$@"`
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, files...)...)
	cmd.Env = append(os.Environ(), shardFiles+"="+strings.Join(files, "\n"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, errs
	return ended(cmd.Run(), errs)
}

// share asks the search for the files and takes those of this build.
func share(ctx context.Context, search, strategy string, errs io.Writer) ([]string, error) {
	shard, err := strconv.Atoi(cmp.Or(os.Getenv(shardVariable), "0"))
	shards, err2 := strconv.Atoi(cmp.Or(os.Getenv(shardsVariable), "1"))
	if err := errors.Join(err, err2); err != nil || shard < 0 || shard >= shards {
		return nil, fmt.Errorf("%s is %q and %s is %q, which is no share", shardVariable, os.Getenv(shardVariable), shardsVariable, os.Getenv(shardsVariable))
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", search)
	var found bytes.Buffer
	cmd.Stdout, cmd.Stderr = &found, errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("search the files with tests by %s: %w", search, err)
	}
	var files []string
	for line := range strings.Lines(found.String()) {
		if name := strings.TrimSpace(line); name != "" {
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s finds no file with tests", search)
	}
	return Share(files, strategy, shard, shards)
}

// ended is the exit code of a command that has ended.
func ended(err error, errs io.Writer) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", TestsRun, err)
		return 1
	}
	return 0
}
