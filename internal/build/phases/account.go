//go:build linux

package phases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/towline/towline/internal/build"
)

// account is a user that commands run as.
type account struct {
	uid, gid int // -1 for this process's own
	groups   []uint32
	name     string
	home     string
}

// group are the attributes of a process group of the account's.
func (a account) group() *syscall.SysProcAttr {
	attributes := Group(a.uid)
	if attributes.Credential != nil {
		attributes.Credential.Gid, attributes.Credential.Groups = uint32(a.gid), a.groups
	}
	return attributes
}

// lookup finds a user of this machine, or image.
func lookup(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	a := account{name: u.Username, home: u.HomeDir}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return account{}, err
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return account{}, err
		}
		a.groups = append(a.groups, uint32(gid))
	}
	return a, nil
}

// as returns the account of a phase. A refusal says why the user cannot be had.
func (p *walker) as(name string) (a account, refusal string) {
	if name == "" {
		return p.own, ""
	}
	own := p.own.uid
	if own < 0 {
		own = os.Geteuid()
	}
	a, err := lookup(name)
	switch {
	case err == nil && a.uid == own:
		return p.own, ""
	case !p.AnyUser && (err == nil && a.uid == 0 || !slices.Contains(p.Users, name)):
		return a, fmt.Sprintf("run-as: %s: builds may not run as this user here; leave run-as out, or build on a server that allows the user (towline server --build-user)", name)
	case err != nil:
		return a, fmt.Sprintf("run-as: %s: there is no such user where the build runs: %v", name, err)
	case os.Geteuid() != 0:
		return a, fmt.Sprintf("run-as: %s: only root can run commands as another user, and Towline is user %d here", name, os.Geteuid())
	}
	return a, ""
}

// become has the commands that follow run as another user: by a new shell, which
// takes over the exported variables and the directory.
func (p *walker) become(ctx context.Context, name string) (*build.Failure, error) {
	a, refusal := p.as(name)
	if refusal != "" {
		p.Output.Printf("%s", refusal)
		return &build.Failure{Reason: refusal, Exit: 1}, nil
	}
	if a.uid == p.shell.account.uid {
		return nil, nil
	}
	if err := p.shell.leave(ctx); err != nil {
		return nil, err
	}
	p.shell.account = a
	for _, file := range []string{p.shell.state, filepath.Join(p.Control, gitSecret), filepath.Join(p.Control, kubeconfigFile)} {
		if err := os.Lchown(file, a.uid, a.gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("let user %s take over: %w", name, err)
		}
	}
	p.Env["HOME"], p.Env["USER"], p.Env["LOGNAME"] = a.home, a.name, a.name
	_, err := p.shell.run(ctx, fmt.Sprintf("export HOME=%s USER=%s LOGNAME=%s", quote(a.home), quote(a.name), quote(a.name)))
	return nil, err
}
