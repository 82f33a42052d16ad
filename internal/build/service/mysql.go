//go:build linux

package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// mysqlForm is as postgresForm.
const mysqlForm = "1"

// smallLog keeps the file small that is copied for each build.
const smallLog = "--innodb-log-file-size=8M"

// mysql is one installation of MariaDB or MySQL, whose servers understand the
// same options.
type mysql struct {
	server  string // its program
	install string // makes an empty database; "" for MySQL, whose server does
	engine  string
	version string // 10.11.6
}

var mysqlVersion = regexp.MustCompile(`Ver (\d+(?:\.\d+)+)`)

// findMySQL looks for a server of the engine. A program named mysqld may be
// either; what it says of its version tells.
func findMySQL(ctx context.Context, environ []string, wanted string) (engine, string, error) {
	other := ""
	for _, name := range []string{"mariadbd", "mysqld"} {
		server, err := program(environ, name, "/usr/sbin", "/usr/libexec", "/usr/local/sbin")
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, server, "--no-defaults", "--version").Output()
		m := mysqlVersion.FindSubmatch(out)
		if err != nil || m == nil {
			continue
		}
		e := &mysql{server: server, engine: pipeline.EngineMySQL, version: string(m[1])}
		if strings.Contains(string(out), "MariaDB") {
			e.engine = pipeline.EngineMariaDB
			if e.install, err = program(environ, "mariadb-install-db", "/usr/bin", "/usr/local/bin"); err != nil {
				return nil, "", errors.New("there is a MariaDB server, but no mariadb-install-db in PATH, which makes its database; install it (Debian, Ubuntu: apt-get install mariadb-server)")
			}
		}
		if e.engine == wanted {
			return e, e.version, nil
		}
		other = e.title()
	}
	mend := map[string]string{
		pipeline.EngineMariaDB: "install it (Debian, Ubuntu: apt-get install mariadb-server; Fedora: dnf install mariadb-server)",
		pipeline.EngineMySQL:   "install it (Fedora: dnf install mysql-server; others: the packages of dev.mysql.com)",
	}[wanted]
	if other != "" {
		return nil, "", fmt.Errorf("there is no %s server on this machine, but %s: name that engine, or %s", name(wanted), other, mend)
	}
	return nil, "", fmt.Errorf("there is no %s server on this machine: mariadbd and mysqld are not in PATH; %s", name(wanted), mend)
}

func name(engine string) string {
	if engine == pipeline.EngineMariaDB {
		return "MariaDB"
	}
	return "MySQL"
}

func (e *mysql) title() string { return name(e.engine) + " " + e.version }

func (e *mysql) template() string { return e.engine + "-" + e.version + "-" + mysqlForm }

// prepare makes the system's tables.
func (e *mysql) prepare(ctx context.Context, p *process, dir string) error {
	if e.install == "" {
		return p.once(ctx, "", e.server, "--no-defaults", "--initialize-insecure", "--datadir="+dir, smallLog)
	}
	return p.once(ctx, "", e.install, "--no-defaults", "--datadir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db", smallLog)
}

// command lets the server make the build's account itself, before it takes
// connections: by a file, since others can read a command line.
func (e *mysql) command(p *process) (program string, args []string, input string, err error) {
	first := filepath.Join(p.socket, "first.sql")
	// Nobody else may enter: root has no password in a template.
	others := "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys'"
	if e.engine == pipeline.EngineMySQL {
		others = "DROP USER 'root'@'localhost'"
	}
	statements := fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %[1]s CHARACTER SET utf8mb4;\n%[3]s;\nFLUSH PRIVILEGES;\nCREATE USER '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n", owner, p.password, others)
	if err := os.WriteFile(first, []byte(statements), 0o600); err != nil {
		return "", nil, "", fmt.Errorf("write the first statements: %w", err)
	}
	if p.place.User >= 0 {
		if err := os.Chown(first, p.place.User, p.place.User); err != nil {
			return "", nil, "", fmt.Errorf("write the first statements: %w", err)
		}
	}
	return e.server, []string{
		"--no-defaults", "--datadir=" + p.data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(p.port),
		"--socket=" + filepath.Join(p.socket, "s"), "--pid-file=" + filepath.Join(p.socket, "pid"), "--init-file=" + first,
		"--skip-name-resolve", smallLog, "--character-set-server=utf8mb4",
		// The data is not worth more than the build: nothing waits for the disk.
		"--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--innodb-doublewrite=0",
	}, "", nil
}

// greet waits for the greeting that the server sends on a new connection. It
// takes none before it has carried out its first statements.
func (e *mysql) greet(ctx context.Context, p *process) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(readyWithin))
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	const greeting = 10 // the protocol's version, with which a greeting begins
	if head[4] != greeting {
		return fmt.Errorf("it greets with %d: %w", head[4], errNotReady)
	}
	// No trace of the password stays where the build's commands could look.
	return os.Remove(filepath.Join(p.socket, "first.sql"))
}
