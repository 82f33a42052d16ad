//go:build linux

package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/phases"
)

const (
	// dbUser owns the database of the same name and may do anything on its
	// server, such as creating extensions and more databases.
	dbUser = "build"
	// readyWithin bounds the start of a server; it takes a fraction of a
	// second unless the machine is very busy.
	readyWithin = time.Minute
	// portTries is how often another port is taken when one is gone before the
	// server has it.
	portTries = 3
)

// postgres is a PostgreSQL server of one build's own.
type postgres struct {
	binaries pgBinaries
	data     string // its directory
	socket   string // directory of its socket
	log      string // what the server says
	user     int
	marker   string

	port     int
	password string
	took     time.Duration
	mounted  bool // data is a layer over the template
	cmd      *exec.Cmd
	exited   chan struct{}
}

// startPostgres gives the build an empty database on a server of its own.
func (r *runner) startPostgres(ctx context.Context, s build.Service) (*postgres, error) {
	begin := time.Now()
	binaries, err := findPostgres(ctx, r.in.Environ)
	if err != nil {
		return nil, err
	}
	db := &postgres{
		binaries: binaries, data: filepath.Join(r.places.services, build.Variable(s.Name)), user: r.in.User, marker: r.in.Marker,
		socket: filepath.Join(socketDir(r.in.Dir), build.Variable(s.Name)), password: rand.Text(),
		log: filepath.Join(r.places.control, build.Variable(s.Name)+".log"),
	}
	r.log.Hide(db.password)
	template, made, err := db.template(ctx, r.in)
	if err != nil {
		return nil, err
	}
	if made > 0 {
		_ = r.log.Printf("service %s: made the template for %s, kept for later builds (%v)", s.Name, db.title(), made.Round(time.Millisecond))
		begin = time.Now()
	}
	if err := db.provide(template, r.in); err != nil {
		return nil, err
	}
	if err := db.makeSocketDir(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		err := db.start(ctx)
		if err == nil {
			break
		}
		db.end()
		if try == portTries || !strings.Contains(err.Error(), "could not bind") {
			db.stop()
			return nil, err
		}
	}
	db.took = time.Since(begin)
	return db, nil
}

// socketDir is the directory of the sockets of a build's databases. It is not
// below the build's own, since the path of a socket may have 107 bytes only.
func socketDir(buildDir string) string {
	sum := sha256.Sum256([]byte(buildDir))
	return filepath.Join("/tmp", "towline-db-"+hex.EncodeToString(sum[:6]))
}

// makeSocketDir makes the directory anew: /tmp is everybody's.
func (db *postgres) makeSocketDir() error {
	parent := filepath.Dir(db.socket)
	if err := os.Mkdir(parent, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the directory of the socket: %w", err)
	}
	info, err := os.Lstat(parent)
	if err != nil || !info.IsDir() || ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("make the directory of the socket: %s belongs to somebody else; remove it", parent)
	}
	if err := os.Mkdir(db.socket, 0o700); err != nil {
		return fmt.Errorf("make the directory of the socket: %w", err)
	}
	if db.user >= 0 {
		return os.Chown(db.socket, db.user, db.user)
	}
	return nil
}

// start starts the server on a free port and sets the password.
func (db *postgres) start(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	db.port = port
	log, err := os.OpenFile(db.log, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	db.cmd = db.command("postgres", "-D", db.data)
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=" + db.socket,
		// The data is not worth more than the build: nothing waits for the disk.
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		// Memory of other kinds would stay when the server is killed.
		"dynamic_shared_memory_type=mmap",
		"logging_collector=off", "log_destination=stderr",
	} {
		db.cmd.Args = append(db.cmd.Args, "-c", setting)
	}
	db.cmd.Stdout, db.cmd.Stderr = log, log
	if err := db.cmd.Start(); err != nil {
		db.cmd = nil
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	exited := make(chan struct{})
	db.exited = exited
	go func() { _ = db.cmd.Wait(); close(exited) }()
	if err := db.ready(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(text[max(0, len(text)-2000):]))
	}
	return nil
}

// ready waits until the server answers, and sets the password.
func (db *postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.setPassword(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-db.exited:
			return errors.New("PostgreSQL ended at once")
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		}
	}
}

// setPassword goes through the socket, whose directory only the build's user
// can enter. The password is hex and letters: nothing to quote.
func (db *postgres) setPassword(ctx context.Context) error {
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", db.socket, db.port, dbUser, dbUser))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return conn.Exec(ctx, "ALTER ROLE "+dbUser+" PASSWORD '"+db.password+"'").Close()
}

// stop ends the server. Its data goes with the build's other temporary files.
// It may be called twice.
func (db *postgres) stop() {
	db.end()
	if db.mounted {
		_ = unix.Unmount(db.data, unix.MNT_DETACH)
		db.mounted = false
	}
}

func (db *postgres) end() {
	if db.cmd != nil {
		_ = db.cmd.Process.Signal(unix.SIGQUIT) // at once, without a checkpoint
		select {
		case <-db.exited:
		case <-time.After(5 * time.Second):
			_ = unix.Kill(-db.cmd.Process.Pid, unix.SIGKILL)
			<-db.exited
		}
		db.cmd = nil
	}
}

// command is a program of this PostgreSQL, run as the build's user with an
// environment of its own.
func (db *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(db.binaries.dir, name), args...)
	cmd.Env = []string{"PATH=" + db.binaries.dir + ":/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + filepath.Dir(db.data), markerVariable + "=" + db.marker}
	cmd.Dir = "/"
	cmd.SysProcAttr = phases.Group(db.user)
	return cmd
}

// title is the database as people call it.
func (db *postgres) title() string { return "PostgreSQL " + db.binaries.major }

// variables are what programs look for to find their database. With several
// services each one's have its name before them, and the first one's stand
// without it as well.
func (db *postgres) variables(service string, first, several bool) map[string]string {
	port := strconv.Itoa(db.port)
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(dbUser, db.password), Host: net.JoinHostPort("127.0.0.1", port),
		Path: dbUser, RawQuery: "sslmode=disable",
	}
	plain := map[string]string{
		"DATABASE_URL": address.String(),
		"PGHOST":       "127.0.0.1", "PGPORT": port, "PGUSER": dbUser, "PGPASSWORD": db.password, "PGDATABASE": dbUser,
		"JDBC_DATABASE_URL":      "jdbc:postgresql://127.0.0.1:" + port + "/" + dbUser,
		"JDBC_DATABASE_USERNAME": dbUser, "JDBC_DATABASE_PASSWORD": db.password,
	}
	all := map[string]string{}
	for name, value := range plain {
		if first {
			all[name] = value
		}
		if several {
			all[strings.ToUpper(build.Variable(service))+"_"+name] = value
		}
	}
	return all
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
