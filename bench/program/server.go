package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
)

// Server is the server under test: a process of its own.
type Server struct {
	API     *client.Client
	process *exec.Cmd
}

// Serve brings a server up with the data directory given and waits until it
// answers. It ends with Stop, or with ctx.
func Serve(ctx context.Context, path, data string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	s := &Server{process: exec.CommandContext(ctx, path, "server", "--data", data, "--listen", address)}
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the server does not answer"))
	defer cancel()
	err = Until(ctx, func() (bool, error) {
		endpoint, token, err := config.ReadEndpoint(data)
		if err != nil || endpoint.PID != s.process.Process.Pid {
			return false, nil //nolint:nilerr // It is not there yet.
		}
		s.API = client.New(endpoint.URL, token)
		_, err = s.API.Version(ctx)
		return err == nil, nil
	})
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends the server and waits for it.
func (s *Server) Stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
}

// Memory is the most that the server has had in memory, in bytes.
func (s *Server) Memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("the kernel does not tell how much memory a process has had")
}

// Processor is the processor time that the server has used so far.
func (s *Server) Processor() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in parentheses, may hold blanks.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if len(fields) < 13 {
		return 0, fmt.Errorf("the kernel tells %q of the server", text)
	}
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		return 0, err
	}
	const ticks = 100 // per second, on every Linux that Go runs on
	return time.Duration(user+system) * time.Second / ticks, nil
}
