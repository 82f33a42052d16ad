//go:build linux

package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresForm changes when templates are made in another way, so that old ones
// are not used any more.
const postgresForm = "2"

// postgres is one PostgreSQL installation.
type postgres struct {
	dir     string // of its programs
	version string // 15.14
	major   string // 15
}

var postgresVersion = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// findPostgres looks for a server's programs: in the search path, then where
// Debian puts them, the newest first, or the one that is wanted.
func findPostgres(ctx context.Context, environ []string, wanted string) (engine, string, error) {
	var dirs []string
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for newest := 99; newest > 9; newest-- {
		for _, dir := range debian {
			if strings.Contains(dir, "/"+strconv.Itoa(newest)+"/") {
				dirs = append(dirs, dir)
			}
		}
	}
	var found *postgres
	for _, environ := range [][]string{environ, nil} {
		for _, dir := range append([]string{""}, dirs...) {
			initdb, err := program(environ, "initdb", dir)
			if err == nil {
				initdb, err = filepath.EvalSymlinks(initdb) // the other programs are beside it
			}
			if err != nil {
				continue
			}
			p, err := inspectPostgres(ctx, filepath.Dir(initdb))
			if err != nil {
				continue
			}
			if found == nil || wanted != "" && p.major == wanted && found.major != wanted {
				found = p
			}
		}
	}
	if found == nil {
		return nil, "", errors.New("there is no PostgreSQL server on this machine: initdb is neither in PATH nor below /usr/lib/postgresql; install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server)")
	}
	return found, found.version, nil
}

func inspectPostgres(ctx context.Context, dir string) (*postgres, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return nil, err
	}
	m := postgresVersion.FindSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("it says %q", out)
	}
	return &postgres{dir: dir, version: string(m[1]), major: string(m[2])}, nil
}

func (e *postgres) title() string { return "PostgreSQL " + e.major }

func (e *postgres) template() string { return "postgres-" + e.version + "-" + postgresForm }

// prepare makes a cluster with the build's role and database. Collation is by
// code point, the same on each machine; small WAL files make the copy small.
func (e *postgres) prepare(ctx context.Context, p *process, dir string) error {
	args := []string{
		"-D", dir, "-U", owner, "--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--wal-segsize=1", "--no-sync",
	}
	initdb := filepath.Join(e.dir, "initdb")
	err := p.once(ctx, "", initdb, append(args, "--locale=C.UTF-8")...)
	if err != nil && ctx.Err() == nil { // not every system has that locale
		if cleaning := os.RemoveAll(dir); cleaning != nil {
			return cleaning
		}
		err = p.once(ctx, "", initdb, append(args, "--no-locale")...)
	}
	if err != nil {
		return err
	}
	return p.once(ctx, "CREATE DATABASE "+owner+"\n", filepath.Join(e.dir, "postgres"), "--single", "-D", dir, "-F", "postgres")
}

func (e *postgres) command(p *process) (program string, args []string, input string, err error) {
	args = []string{"-D", p.data}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(p.port), "unix_socket_directories=" + p.socket,
		// The data is not worth more than the build: nothing waits for the disk.
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		// Memory of other kinds would stay when the server is killed.
		"dynamic_shared_memory_type=mmap",
		"logging_collector=off", "log_destination=stderr",
	} {
		args = append(args, "-c", setting)
	}
	return filepath.Join(e.dir, "postgres"), args, "", nil
}

// greet sets the password. It goes through the socket, whose directory only the
// services' user can enter. The password is letters and digits: nothing to quote.
func (e *postgres) greet(ctx context.Context, p *process) error {
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", p.socket, p.port, owner, owner))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return conn.Exec(ctx, "ALTER ROLE "+owner+" PASSWORD '"+p.password+"'").Close()
}
