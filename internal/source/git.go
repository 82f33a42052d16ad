package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// GitError is a git command that did not do what was asked, with its own words.
type GitError struct {
	Command string // such as "git rev-parse"
	Stderr  string // what git said, trimmed and at most 4 KiB
	Err     error
}

func (e *GitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Command, e.Err, e.Stderr)
}

// Unwrap returns the cause: an *exec.ExitError or a context's error.
func (e *GitError) Unwrap() error { return e.Err }

// exit returns the exit status of the git command behind err, or -1.
func exit(err error) int {
	if status, ok := errors.AsType[*exec.ExitError](err); ok {
		return status.ExitCode()
	}
	return -1
}

// settings are the whole configuration of every git process. They travel in
// the environment, which outranks a repository's own file, so that they hold
// for repositories of any age, and no file of the system or a user is read.
func (r *Repositories) settings(repository string) [][2]string {
	return [][2]string{
		{"safe.directory", repository},
		{"init.defaultBranch", DefaultBranch},
		{"core.hooksPath", r.hooksDir()},
		{"core.attributesFile", os.DevNull},
		{"core.excludesFile", os.DevNull},
		{"core.symlinks", "true"},
		{"core.fsmonitor", "false"},
		// A server fetches from nobody; a submodule or alternate cannot make it.
		{"protocol.allow", "never"},
		{"protocol.file.allow", "never"},
		{"transfer.fsckObjects", "true"},
		// Old, harmless faults that are in many well-known histories.
		{"receive.fsck.badTimezone", "ignore"},
		{"receive.fsck.missingSpaceBeforeDate", "ignore"},
		{"receive.fsck.zeroPaddedFilemode", "ignore"},
		{"receive.denyNonFastForwards", "false"},
		{"receive.maxInputSize", strconv.FormatInt(r.cfg.MaxPush, 10)},
		// Every push is kept as one pack: written by index-pack, which streams
		// large files instead of holding them, and synced with two calls.
		{"receive.unpackLimit", "1"},
		{"core.fsync", "committed"},
		{"core.bigFileThreshold", "16m"},
		{"pack.windowMemory", "128m"},
		{"uploadpack.allowFilter", "true"},
		{"http.uploadpack", "true"},
		{"http.receivepack", "true"},
		{"http.getanyfile", "false"},
		// Repacking is done by tidy, which outlives no server. Objects that no
		// ref reaches any more stay: an execution may still be retried with a
		// commit that a forced push has since replaced.
		{"gc.autoDetach", "false"},
		{"gc.pruneExpire", "never"},
		{"gc.cruftPacks", "true"},
		{"receive.autogc", "false"},
		{"maintenance.auto", "false"},
	}
}

// environ is the whole environment of a git process but for PATH.
func (r *Repositories) environ(repository string) []string {
	env := []string{
		"LC_ALL=C",
		"HOME=/nonexistent",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_LITERAL_PATHSPECS=1",
		// A pushed refs/replace/* must not make a commit mean another tree.
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_COMMITTER_NAME=towline",
		"GIT_COMMITTER_EMAIL=towline@localhost",
	}
	settings := r.settings(repository)
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// command is one run of git.
type command struct {
	name    string // of the repository; empty for none
	args    []string
	env     []string // in addition
	stdin   io.Reader
	stdout  io.Writer
	timeout time.Duration // default one minute
}

// run runs git to its end. The error is a *GitError.
func (r *Repositories) run(ctx context.Context, c command) error {
	timeout := cmp.Or(c.timeout, time.Minute)
	tooLong := fmt.Errorf("took longer than %v", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, tooLong)
	defer cancel()
	args, repository := c.args, r.dir
	if c.name != "" {
		repository = r.Path(c.name)
		args = append([]string{"--git-dir=" + repository}, args...)
	}
	cmd := exec.CommandContext(ctx, r.git, args...)
	cmd.Dir = r.dir
	cmd.Env = append(r.environ(repository), "PATH="+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin, cmd.Stdout = c.stdin, c.stdout
	stderr := &head{limit: 4 << 10}
	cmd.Stderr = stderr
	// SIGTERM lets git remove its lock and temporary files; WaitDelay makes
	// sure of the end. It goes to the programs that git has started too: one
	// that waits for a remote would hear of it only much later.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &GitError{Command: "git " + c.args[0], Stderr: strings.TrimSpace(stderr.kept.String()), Err: err}
}

// output runs git and returns what it printed, which may be at most 16 MiB.
func (r *Repositories) output(ctx context.Context, c command) ([]byte, error) {
	out := &head{limit: 16 << 20}
	c.stdout = out
	if err := r.run(ctx, c); err != nil {
		return nil, err
	}
	if out.cut {
		return nil, fmt.Errorf("git %s: printed more than %d bytes", c.args[0], out.limit)
	}
	return out.kept.Bytes(), nil
}

// head keeps the first bytes written to it and takes the rest without a word.
type head struct {
	kept  bytes.Buffer
	limit int
	cut   bool
}

func (h *head) Write(p []byte) (int, error) {
	keep := min(len(p), h.limit-h.kept.Len())
	h.cut = h.cut || keep < len(p)
	h.kept.Write(p[:keep])
	return len(p), nil
}

// gitVersion is the oldest git that reads GIT_CONFIG_GLOBAL, without which a
// user's configuration would reach the server.
var gitVersion = [2]int{2, 32}

var versionLine = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

// findGit looks for a git that is new enough and has its HTTP server side.
func (r *Repositories) findGit(ctx context.Context) error {
	const hint = "install git 2.32 or newer (on Alpine also git-daemon, which has its HTTP server side)"
	program, err := exec.LookPath(r.cfg.Git)
	if err != nil {
		return fmt.Errorf("find git: %w; %s", err, hint)
	}
	if r.git, err = filepath.Abs(program); err != nil {
		return fmt.Errorf("find git: %w", err)
	}
	out, err := r.output(ctx, command{args: []string{"version"}})
	if err != nil {
		return fmt.Errorf("find git: %w; %s", err, hint)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("find git: %s says %.80q instead of its version; %s", r.git, out, hint)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	if major < gitVersion[0] || major == gitVersion[0] && minor < gitVersion[1] {
		return fmt.Errorf("find git: %s is version %d.%d; %s", r.git, major, minor, hint)
	}
	out, err = r.output(ctx, command{args: []string{"--exec-path"}})
	if err != nil {
		return fmt.Errorf("find git: %w; %s", err, hint)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return fmt.Errorf("find git's HTTP server side: %w; %s", err, hint)
	}
	return nil
}
