package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The variables by which Handler tells the hook where it is.
const (
	envSocket     = "TOWLINE_HOOK_SOCKET"
	envRepository = "TOWLINE_HOOK_REPOSITORY"
	envTimeout    = "TOWLINE_HOOK_TIMEOUT"
)

func (r *Repositories) hooksDir() string { return filepath.Join(r.dir, "hooks") }

func (r *Repositories) hookEnviron(repository string) []string {
	return []string{
		envSocket + "=" + r.life.socketPath(),
		envRepository + "=" + repository,
		envTimeout + "=" + r.cfg.HookTimeout.String(),
	}
}

// writeHook writes the post-receive hook, anew at each start since the program
// may have moved. The directory belongs to this room: core.hooksPath points
// every repository at it, so that no other hook can run.
func (r *Repositories) writeHook() error {
	if err := os.RemoveAll(r.hooksDir()); err != nil {
		return err
	}
	if err := os.Mkdir(r.hooksDir(), 0o700); err != nil {
		return err
	}
	if len(r.cfg.Hook) == 0 {
		return nil
	}
	var script strings.Builder
	script.WriteString("#!/bin/sh\nexec")
	for _, arg := range r.cfg.Hook {
		script.WriteString(" '" + strings.ReplaceAll(arg, "'", `'\''`) + "'")
	}
	script.WriteString("\n")
	return os.WriteFile(filepath.Join(r.hooksDir(), "post-receive"), []byte(script.String()), 0o700) //nolint:gosec // git runs it
}

// answer is what the server says to a push.
type answer struct {
	Lines []string `json:"lines"`
}

// The limits of what goes over the socket.
const (
	maxAnswer = 1 << 20
	maxPushed = 64 << 20
)

// HookMain is the whole of the post-receive hook: it tells the server of the
// push on stdin and prints the answer, which git shows to the pusher as
// "remote: towline: ...". It returns the exit status, which git ignores: the
// refs are stored already. When the server cannot be told, the pusher reads
// that, and the server finds the push by Heads.
func HookMain(ctx context.Context, stdin io.Reader, stdout io.Writer) int {
	lines, err := tell(ctx, stdin)
	if err != nil {
		lines = []string{
			"the push is stored, but the server could not be told of it: " + clean(err.Error()),
			"nothing is lost: the server takes it up as soon as it looks; to see whether it has: towline status",
		}
	}
	for _, line := range lines {
		fmt.Fprintln(stdout, "towline: "+clean(line))
	}
	if err != nil {
		return 1
	}
	return 0
}

func tell(ctx context.Context, stdin io.Reader) ([]string, error) {
	socket := os.Getenv(envSocket)
	if socket == "" {
		return nil, errors.New("this push did not come through the server's HTTP address")
	}
	timeout, err := time.ParseDuration(os.Getenv(envTimeout))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", envTimeout, err)
	}
	updates, err := parseUpdates(stdin)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(Push{Repository: os.Getenv(envRepository), Updates: updates})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	lines, err := post(ctx, socket, body)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return lines, err
}

// post sends one push over the socket.
func post(ctx context.Context, socket string, body []byte) ([]string, error) {
	var dialer net.Dialer
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hook/push", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, errors.New("it is not running or is stopping")
		}
		return nil, errors.New("it went away before it answered")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&a); err != nil {
		return nil, errors.New("it went away before it answered")
	}
	return a.Lines, nil
}
