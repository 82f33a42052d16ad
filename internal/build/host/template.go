//go:build linux

package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// templateForm changes when templates are made in another way, so that old ones
// are not used any more.
const templateForm = "2"

// pgBinaries are the programs of one PostgreSQL installation.
type pgBinaries struct {
	dir     string
	version string // 15.14
	major   string // 15
}

var pgVersion = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// findPostgres looks for a server's programs: in the search path, then where
// Debian puts them, the newest first.
func findPostgres(ctx context.Context, environ []string) (pgBinaries, error) {
	var dirs []string
	for _, v := range environ {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = filepath.SplitList(path)
		}
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for newest := 99; newest > 9; newest-- {
		for _, dir := range debian {
			if strings.Contains(dir, "/"+strconv.Itoa(newest)+"/") {
				dirs = append(dirs, dir)
			}
		}
	}
	for _, dir := range dirs {
		initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil {
			continue
		}
		dir = filepath.Dir(initdb)
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if m := pgVersion.FindSubmatch(out); err == nil && m != nil {
			return pgBinaries{dir: dir, version: string(m[1]), major: string(m[2])}, nil
		}
	}
	return pgBinaries{}, errors.New("there is no PostgreSQL server on this machine: initdb is neither in PATH nor below /usr/lib/postgresql; install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server)")
}

// template returns the directory of an empty cluster that belongs to the build's
// user. The first build that needs it makes it, which takes made; two that do so
// at once do no harm.
func (db *postgres) template(ctx context.Context, in instructions) (dir string, made time.Duration, err error) {
	owner := "own"
	if db.user >= 0 {
		owner = strconv.Itoa(db.user)
	}
	dir = filepath.Join(in.Templates, fmt.Sprintf("postgres-%s-%s-%s", db.binaries.version, templateForm, owner))
	if _, err := os.Stat(dir); err == nil {
		return dir, 0, nil
	}
	begin := time.Now()
	// Made where the build's user may write, and moved to where it may not.
	name := "template-" + rand.Text()
	if err := db.initdb(ctx, filepath.Join(filepath.Dir(db.data), name)); err != nil {
		return "", 0, err
	}
	// The same directory, not by way of the build's mounts.
	work := filepath.Join(in.Dir, boxDir, servicesDir, name)
	err = os.Rename(work, dir)
	if errors.Is(err, unix.EXDEV) {
		fresh := dir + ".new-" + name
		if err = copyTree(work, fresh, db.user); err == nil {
			err = os.Rename(fresh, dir)
		}
		_ = os.RemoveAll(fresh)
	}
	_ = os.RemoveAll(work)
	if _, missing := os.Stat(dir); missing != nil {
		return "", 0, fmt.Errorf("keep the template: %w", err)
	}
	return dir, time.Since(begin), nil
}

// provide gives the server its data: in a box a layer over the template, which
// copies only the files that are written, else a copy of all.
func (db *postgres) provide(template string, in instructions) error {
	if in.Boxed {
		err := db.overlay(template, filepath.Join(in.Dir, boxDir, "layers", filepath.Base(db.data)))
		if err == nil {
			return nil
		}
		// Not every system and file system has overlays.
	}
	if err := copyTree(template, db.data, db.user); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	return nil
}

func (db *postgres) overlay(template, layer string) error {
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	if strings.ContainsAny(template+layer, `,:\`) {
		return errors.New("the paths hold what separates options")
	}
	for _, dir := range []string{upper, work, db.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chown(dir, db.user, db.user); err != nil {
			return err
		}
	}
	err := unix.Mount("overlay", db.data, "overlay", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", template, upper, work))
	if err != nil {
		return errors.Join(err, os.Remove(db.data))
	}
	db.mounted = true
	return nil
}

// initdb makes a cluster with the build's role and database. Collation is by
// code point, the same on each machine; small WAL files make the copy small.
func (db *postgres) initdb(ctx context.Context, dir string) error {
	args := []string{
		"-D", dir, "-U", dbUser, "--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--wal-segsize=1", "--no-sync",
	}
	err := db.once(ctx, "", "initdb", append(args, "--locale=C.UTF-8")...)
	if err != nil && ctx.Err() == nil { // not every system has that locale
		if cleaning := os.RemoveAll(dir); cleaning != nil {
			return cleaning
		}
		err = db.once(ctx, "", "initdb", append(args, "--no-locale")...)
	}
	if err != nil {
		return err
	}
	return db.once(ctx, "CREATE DATABASE "+dbUser+"\n", "postgres", "--single", "-D", dir, "-F", "postgres")
}

// once runs a program to its end.
func (db *postgres) once(ctx context.Context, input, name string, args ...string) error {
	cmd := db.command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
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

// copyTree copies a directory of plain files, for a user when that is not
// negative. Only the owner may read the copy.
func copyTree(from, to string, user int) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			err = os.Mkdir(target, 0o700)
		case d.Type().IsRegular():
			err = copyFile(path, target)
		default:
			return fmt.Errorf("%s is neither a file nor a directory", path)
		}
		if err == nil && user >= 0 {
			err = os.Lchown(target, user, user)
		}
		return err
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // the kernel copies, or shares the blocks
	return errors.Join(err, out.Close())
}
