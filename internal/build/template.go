//go:build linux

package build

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
	"syscall"
	"time"
)

// templateForm changes when templates are made in another way, so that old ones
// are not used any more.
const templateForm = "1"

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

// template returns the directory of an empty cluster to copy. The first build
// that needs it makes it, which takes made; two that do so at once do no harm.
func (db *postgres) template(ctx context.Context, templates string, p places) (dir string, made time.Duration, err error) {
	dir = filepath.Join(templates, "postgres-"+db.binaries.version+"-"+templateForm)
	if _, err := os.Stat(dir); err == nil {
		return dir, 0, nil
	}
	begin := time.Now()
	// Made where the build's user may write, and moved to where it may not.
	work := filepath.Join(p.services, "template")
	if err := db.initdb(ctx, work); err != nil {
		return "", 0, err
	}
	fresh := dir + ".new-" + rand.Text()
	if err := copyTree(work, fresh, -1); err != nil {
		return "", 0, errors.Join(fmt.Errorf("keep the template: %w", err), os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, dir); err != nil {
		_ = os.RemoveAll(fresh)
		if _, missing := os.Stat(dir); missing != nil {
			return "", 0, fmt.Errorf("keep the template: %w", err)
		}
	}
	if err := os.RemoveAll(work); err != nil {
		return "", 0, fmt.Errorf("keep the template: %w", err)
	}
	return dir, time.Since(begin), nil
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

func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
