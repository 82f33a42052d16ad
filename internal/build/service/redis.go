//go:build linux

package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// redis is one Redis installation, or one of Valkey, which is the same to a
// build.
type redis struct{ program, version string }

var redisVersion = regexp.MustCompile(`\bv=(\d+[^\s]*)`)

func findRedis(ctx context.Context, environ []string) (engine, string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		found, err := program(environ, name, "/usr/bin", "/usr/local/bin")
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, found, "--version").Output()
		if m := redisVersion.FindSubmatch(out); err == nil && m != nil {
			return &redis{found, string(m[1])}, string(m[1]), nil
		}
	}
	return nil, "", errors.New("there is no Redis server on this machine: redis-server is not in PATH; install it (Debian, Ubuntu: apt-get install redis-server; Fedora: dnf install redis)")
}

func (e *redis) title() string { return "Redis " + e.version }

func (*redis) template() string { return "" }

func (*redis) prepare(context.Context, *process, string) error { return nil }

// command hands the settings in by the standard input, since others can read a
// command line.
func (e *redis) command(p *process) (program string, args []string, input string, err error) {
	return e.program, []string{"-"}, fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %q\nrequirepass %s\nsave \"\"\nappendonly no\ndaemonize no\n", p.port, p.data, p.password), nil
}

// greet signs in, by the same port as the build's commands.
func (*redis) greet(ctx context.Context, p *process) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(readyWithin))
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", p.password); err != nil {
		return err
	}
	answers := bufio.NewReader(conn)
	for _, want := range []string{"+OK\r\n", "+PONG\r\n"} {
		if got, err := answers.ReadString('\n'); err != nil || got != want {
			return fmt.Errorf("it answers %q: %w", got, errors.Join(err, errNotReady))
		}
	}
	return nil
}

// errNotReady says that a server answers, but not yet as it should.
var errNotReady = errors.New("the server is not ready")
