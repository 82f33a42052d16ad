//go:build linux

// Package service starts the databases of a build as processes beside its
// commands: each build has servers of its own, empty, which end with it. It
// also says by which variables the commands find them, wherever they run. It
// knows nothing of phases and of where the build's processes come from.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

const (
	// owner owns the database of the same name and may do anything on its
	// server, such as creating extensions and more databases.
	owner = "build"
	// readyWithin bounds the start of a server; it takes a fraction of a
	// second unless the machine is very busy.
	readyWithin = time.Minute
	// portTries is how often another port is taken when one is gone before the
	// server has it.
	portTries = 3
)

// Place is where the services of one build live.
type Place struct {
	// Data is a directory that the services' user may write, as the build's
	// processes see it, and Outside the same one by a path on the file system
	// of Templates, to move things there.
	Data, Outside string
	// Layers is where the file systems of overlays may lie, "" for no overlays.
	Layers string
	// Templates are kept from build to build: empty databases to copy. Only
	// their user may read them.
	Templates string
	// Sockets is a directory with a short path, made by the first service: the
	// path of a socket may have 107 bytes only.
	Sockets string
	// Logs is a directory that the build cannot write.
	Logs string
	// User is the user and group ID of the servers, -1 for this process's own.
	User int
	// Environ has the search path in which the servers' programs are looked for.
	Environ []string
	// Mark is a variable, NAME=value, for the environment of all processes.
	Mark string
	// Hide keeps a password out of the build's log, and Say writes a line to it.
	Hide func(secret string)
	Say  func(format string, args ...any)
}

// Server is a database server that runs for one build.
type Server struct {
	Account
	// Title is the database as people call it: PostgreSQL 15.
	Title string
	// Took is how long it took to start, without the making of a template.
	Took time.Duration

	process *process
}

// engine is what tells the servers apart. Its methods are called in the order in
// which they stand here.
type engine interface {
	// title is the database with its version as people call it.
	title() string
	// template names the state of an empty database that can be copied, "" when
	// there is none; prepare makes one in a directory that is not there.
	template() string
	prepare(ctx context.Context, p *process, dir string) error
	// command is the server's command line and what it reads.
	command(p *process) (program string, args []string, input string, err error)
	// greet reaches the server, and returns nil once it answers as the build's
	// commands would see it.
	greet(ctx context.Context, p *process) error
}

// Start starts an empty database. The error is that of ctx, or says what the
// machine lacks.
func Start(ctx context.Context, place Place, s build.Service) (*Server, error) {
	e, err := find(ctx, s, place.Environ)
	if err != nil {
		return nil, err
	}
	name := build.Variable(s.Name)
	p := &process{
		engine: e, place: place, data: filepath.Join(place.Data, name), socket: filepath.Join(place.Sockets, name),
		log: filepath.Join(place.Logs, name+".log"), password: rand.Text(),
	}
	place.Hide(p.password)
	begin := time.Now()
	template, made, err := p.template(ctx)
	if err != nil {
		return nil, err
	}
	if made > 0 {
		place.Say("service %s: made the template for %s, kept for later builds (%v)", s.Name, e.title(), made.Round(time.Millisecond))
		begin = time.Now()
	}
	if err := errors.Join(p.provide(template), p.makeSocketDir()); err != nil {
		p.stop()
		return nil, err
	}
	for try := 1; ; try++ {
		err := p.start(ctx)
		if err == nil {
			break
		}
		p.end()
		if try == portTries || !lostPort(err) {
			p.stop()
			return nil, err
		}
	}
	account := Account{Engine: s.Engine, Host: "127.0.0.1", Port: p.port, User: owner, Password: p.password, Database: owner}
	switch s.Engine {
	case pipeline.EnginePostgres:
		account.Query = "sslmode=disable"
	case pipeline.EngineRedis:
		account.User, account.Database = "default", ""
	}
	return &Server{Account: account, Title: e.title(), Took: time.Since(begin), process: p}, nil
}

// Stop ends the server. Its data goes with the build's other temporary files.
// It may be called twice.
func (s *Server) Stop() { s.process.stop() }

// find looks for the programs of a service's engine on this machine.
func find(ctx context.Context, s build.Service, environ []string) (e engine, err error) {
	var version string
	switch s.Engine {
	case pipeline.EnginePostgres:
		e, version, err = findPostgres(ctx, environ, s.Version)
	case pipeline.EngineMySQL, pipeline.EngineMariaDB:
		e, version, err = findMySQL(ctx, environ, s.Engine)
	case pipeline.EngineRedis:
		e, version, err = findRedis(ctx, environ)
	default:
		return nil, fmt.Errorf("there is no engine %q: the engines are %s", s.Engine, strings.Join(pipeline.Engines(), ", "))
	}
	if err != nil {
		return nil, err
	}
	if s.Version != "" && version != s.Version && !strings.HasPrefix(version, s.Version+".") {
		return nil, fmt.Errorf("service %s wants version %s of %s, this machine has %s: install that version, take it out of the service, or run the build with compute: pod", s.Name, s.Version, s.Engine, version)
	}
	return e, nil
}

// lostPort tells whether a server did not start because its port was taken
// meanwhile.
func lostPort(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "could not bind") || strings.Contains(text, "address already in use")
}

// makeSocketDir makes the directory anew: the one above it may be everybody's.
func (p *process) makeSocketDir() error {
	parent := p.place.Sockets
	if err := os.Mkdir(parent, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the directory of the socket: %w", err)
	}
	info, err := os.Lstat(parent)
	if err != nil || !info.IsDir() || ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("make the directory of the socket: %s belongs to somebody else; remove it", parent)
	}
	if err := os.Mkdir(p.socket, 0o700); err != nil {
		return fmt.Errorf("make the directory of the socket: %w", err)
	}
	if p.place.User >= 0 {
		return os.Chown(p.socket, p.place.User, p.place.User)
	}
	return nil
}

func ownerOf(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
