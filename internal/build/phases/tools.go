//go:build linux

package phases

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// The files in Walk.Control that the build's user alone may read.
const (
	gitSecret      = "git-credential" //nolint:gosec // what git may sign in with: the name of the file
	kubeconfigFile = "kubeconfig"
)

// tools puts the programs that CodeBuild has for builds on the commands' search
// path.
func (p *walker) tools() error {
	bin := filepath.Join(p.Control, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("make the build's tools: %w", err)
	}
	p.Env["PATH"] = bin + ":" + cmp.Or(p.Env["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if p.Program == "" {
		return nil
	}
	for _, tool := range Tools() {
		if err := p.script(tool, fmt.Sprintf("exec %s %s \"$@\"\n", quote(p.Program), tool)); err != nil {
			return err
		}
	}
	return nil
}

func (p *walker) script(name, text string) error {
	file := filepath.Join(p.Control, "bin", name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil { //nolint:gosec // the build's user runs it
		return fmt.Errorf("make the build's tools: %w", err)
	}
	return nil
}

// private makes a file that the build's user alone may read, and returns its
// path.
func (p *walker) private(name string, text []byte) (string, error) {
	file := filepath.Join(p.Control, name)
	err := os.WriteFile(file, text, 0o600)
	if err == nil && p.User >= 0 {
		err = os.Lchown(file, p.User, p.User)
	}
	if err != nil {
		return "", fmt.Errorf("make the build's %s: %w", name, err)
	}
	return file, nil
}

// kubeconfig lets kubectl in the commands sign in to a cluster.
func (p *walker) kubeconfig() error {
	if p.Kubeconfig == nil {
		return nil
	}
	file, err := p.private(kubeconfigFile, p.Kubeconfig)
	p.Env["KUBECONFIG"] = file
	return err
}

// gitHelper answers git's question for a user's name and password, for one host
// and HTTPS alone. %s are the host and the file with the answer.
const gitHelper = `[ "$1" = get ] || exit 0
protocol= host=
while IFS='=' read -r key value && [ -n "$key" ]; do
	case $key in protocol) protocol=$value ;; host) host=$value ;; esac
done
if [ "$protocol" = https ] && [ "$host" = %s ]; then cat %s; fi
`

// gitCredential lets git sign in with Values.Git: by a helper, so that neither a
// URL nor a variable holds the password.
func (p *walker) gitCredential() error {
	git := p.Values.Git
	if git.Host == "" {
		return nil
	}
	secret, err := p.private(gitSecret, fmt.Appendf(nil, "username=%s\npassword=%s\n", git.User, git.Password))
	if err != nil {
		return err
	}
	const helper = "towline-git-credential"
	if err := p.script(helper, fmt.Sprintf(gitHelper, quote(git.Host), quote(secret))); err != nil {
		return err
	}
	n, err := strconv.Atoi(cmp.Or(p.Env["GIT_CONFIG_COUNT"], "0"))
	if err != nil || n < 0 {
		n = 0 // git refuses what stands there
	}
	p.Env["GIT_CONFIG_COUNT"] = strconv.Itoa(n + 1)
	p.Env[fmt.Sprintf("GIT_CONFIG_KEY_%d", n)] = "credential.helper"
	p.Env[fmt.Sprintf("GIT_CONFIG_VALUE_%d", n)] = "!" + quote(filepath.Join(p.Control, "bin", helper))
	return nil
}
