package enclosure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// SearchPath is where programs are looked for.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environ is what programs get of this process's environment: a search path, the
// ways out of the machine, and what has one of these names besides.
func Environ(names ...string) []string {
	env := []string{"PATH=" + SearchPath}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			env = append(env, entry)
		default:
			if slices.Contains(names, name) {
				env = append(env, entry)
			}
		}
	}
	return env
}

// Runtime is the path of the program that runs containers. Its error says what
// the machine lacks.
func Runtime() (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("the server is not root; run it as root, or name another way with --dockerfile-builder")
	}
	for _, name := range []string{"buildkit-runc", "runc", "crun"} {
		if file, ok := lookUp(name); ok {
			return file, nil
		}
	}
	return "", errors.New("runc, which runs the commands of a Dockerfile, is not there; install the package runc")
}

// Look finds a program, administrators' tools too.
func Look(name, pkg string) (string, error) {
	if file, ok := lookUp(name); ok {
		return file, nil
	}
	return "", fmt.Errorf("%s is not there; install the package %s", name, pkg)
}

func lookUp(name string) (string, bool) {
	for _, dir := range filepath.SplitList(SearchPath + ":" + os.Getenv("PATH")) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && filepath.IsAbs(file) && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, true
		}
	}
	return "", false
}

const groupRoot = "/sys/fs/cgroup"

// SweepGroups removes a control group that containers have left behind. There is
// one tree of them, or one for each controller.
func SweepGroups(group string) error {
	trees, err := filepath.Glob(filepath.Join(groupRoot, "*", group))
	if err != nil {
		return err
	}
	for _, tree := range append(trees, filepath.Join(groupRoot, group)) {
		var dirs []string
		err := filepath.WalkDir(tree, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, name)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		slices.SortFunc(dirs, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
		for _, dir := range dirs {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove the control group %s: %w", dir, err)
			}
		}
	}
	return nil
}
