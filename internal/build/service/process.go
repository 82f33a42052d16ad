//go:build linux

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is the process of a server, with what belongs to it.
type process struct {
	engine engine
	place  Place
	data   string // its directory
	socket string // directory of its socket
	log    string // what the server says

	port     int
	password string
	mounted  bool // data is a layer over the template
	cmd      *exec.Cmd
	exited   chan struct{}
}

// start starts the server on a free port and waits until it answers.
func (p *process) start(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	p.port = port
	program, args, input, err := p.engine.command(p)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	p.cmd = p.run(program, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(input), log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start %s: %w", p.engine.title(), err)
	}
	exited := make(chan struct{})
	p.exited = exited
	go func() { _ = p.cmd.Wait(); close(exited) }()
	if err := p.ready(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(text[max(0, len(text)-2000):]))
	}
	return nil
}

// ready waits until the server answers.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.engine.greet(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("%s ended at once", p.engine.title())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", p.engine.title(), err)
		}
	}
}

// stop ends the server and takes its layer away.
func (p *process) stop() {
	p.end()
	if p.mounted {
		_ = unix.Unmount(p.data, unix.MNT_DETACH)
		p.mounted = false
	}
}

func (p *process) end() {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(unix.SIGQUIT) // of PostgreSQL: at once, without a checkpoint
		select {
		case <-p.exited:
		case <-time.After(5 * time.Second):
			_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
			<-p.exited
		}
		p.cmd = nil
	}
}

// run is a program of the server, run as the services' user with an environment
// of its own.
func (p *process) run(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + p.place.Data, p.place.Mark}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.place.User >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.place.User), Gid: uint32(p.place.User)}
	}
	return cmd
}

// once runs a program to its end.
func (p *process) once(ctx context.Context, input, program string, args ...string) error {
	cmd := p.run(program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	name := filepath.Base(program)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer unwatch()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(out.String()))
	}
	return nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// program looks for a program in the search path of an environment, then in
// further directories.
func program(environ []string, name string, further ...string) (string, error) {
	var dirs []string
	for _, v := range environ {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = filepath.SplitList(path)
		}
	}
	for _, dir := range append(dirs, further...) {
		// Not the file that a link leads to: some programs go by their name.
		found := filepath.Join(dir, name)
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return found, nil
		}
	}
	return "", errors.New("not found")
}
