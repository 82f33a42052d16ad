//go:build linux

package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// template returns the directory of an empty database that belongs to the
// services' user, "" when the engine needs none. The first build that needs it
// makes it, which takes made; two that do so at once do no harm.
func (p *process) template(ctx context.Context) (dir string, made time.Duration, err error) {
	key := p.engine.template()
	if key == "" {
		return "", 0, nil
	}
	user := "own"
	if p.place.User >= 0 {
		user = strconv.Itoa(p.place.User)
	}
	dir = filepath.Join(p.place.Templates, key+"-"+user)
	if _, err := os.Stat(dir); err == nil {
		return dir, 0, nil
	}
	begin := time.Now()
	// Made where the services' user may write, and moved to where it may not.
	name := "template-" + rand.Text()
	if err := p.engine.prepare(ctx, p, filepath.Join(p.place.Data, name)); err != nil {
		return "", 0, err
	}
	// The same directory, not by way of the build's mounts.
	work := filepath.Join(p.place.Outside, name)
	err = os.Rename(work, dir)
	if errors.Is(err, unix.EXDEV) {
		fresh := dir + ".new-" + name
		if err = copyTree(work, fresh, p.place.User); err == nil {
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

// provide gives the server its data: where it may a layer over the template,
// which copies only the files that are written, else a copy of all.
func (p *process) provide(template string) error {
	if template == "" {
		if err := os.Mkdir(p.data, 0o700); err != nil {
			return fmt.Errorf("make the server's directory: %w", err)
		}
		if p.place.User >= 0 {
			return os.Chown(p.data, p.place.User, p.place.User)
		}
		return nil
	}
	if p.place.Layers != "" {
		err := p.overlay(template, filepath.Join(p.place.Layers, filepath.Base(p.data)))
		if err == nil {
			return nil
		}
		// Not every system and file system has overlays.
	}
	if err := copyTree(template, p.data, p.place.User); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	return nil
}

func (p *process) overlay(template, layer string) error {
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	if strings.ContainsAny(template+layer, `,:\`) {
		return errors.New("the paths hold what separates options")
	}
	for _, dir := range []string{upper, work, p.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chown(dir, p.place.User, p.place.User); err != nil {
			return err
		}
	}
	err := unix.Mount("overlay", p.data, "overlay", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", template, upper, work))
	if err != nil {
		return errors.Join(err, os.Remove(p.data))
	}
	p.mounted = true
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
