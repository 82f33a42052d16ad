package kubectl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// access says to a kubectl which cluster is meant, and as whom.
type access struct {
	args  []string
	files []*os.File // that it inherits, from descriptor 3 on
	drop  func()     // ends what this process has of it
}

// access is the user's own kubeconfig when the cluster came from one, else a
// private one for this command.
func (m *Method) access() (access, error) {
	if file, name, ok := m.cluster.KubeconfigContext(); ok {
		args := []string{"--context", name}
		if file != "" {
			args = append([]string{"--kubeconfig", file}, args...)
		}
		return access{args: args, drop: func() {}}, nil
	}
	text, err := m.cluster.Kubeconfig()
	if err != nil {
		return access{}, fmt.Errorf("use kubectl: %w; deploy with the method api", err)
	}
	hand := named
	if runtime.GOOS == "linux" {
		hand = nameless
	}
	a, err := hand(text)
	if err != nil {
		return access{}, fmt.Errorf("write a kubeconfig for kubectl: %w", err)
	}
	a.args = append(a.args, "--context", m.cluster.Context)
	return a, nil
}

// filePrefix begins the names of kubeconfigs, and the number of the process
// that has written one follows.
const filePrefix = "towline-kubectl-"

// nameless hands a kubeconfig over in a file that has lost its name before
// anything is written into it: when this process is killed, nothing is left. A
// pipe would not do, since kubectl reads its kubeconfig more than once; what
// Linux has in /proc for a descriptor is opened anew each time.
func nameless(text []byte) (a access, err error) {
	file, err := os.CreateTemp("", filePrefix+strconv.Itoa(os.Getpid())+"-") // for its owner only
	if err != nil {
		return access{}, err
	}
	err = os.Remove(file.Name())
	if err == nil {
		_, err = file.Write(text)
	}
	if err != nil {
		return access{}, errors.Join(err, file.Close())
	}
	return access{args: []string{"--kubeconfig", "/proc/self/fd/3"}, files: []*os.File{file}, drop: func() { _ = file.Close() }}, nil
}

// named hands a kubeconfig over in a file that is removed when the command has
// ended. What a process that was killed has left, sweep removes.
func named(text []byte) (access, error) {
	file, err := os.CreateTemp("", filePrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return access{}, err
	}
	drop := func() { _ = os.Remove(file.Name()) }
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		drop()
		return access{}, err
	}
	return access{args: []string{"--kubeconfig", file.Name()}, drop: drop}, nil
}

// sweep removes the kubeconfigs of processes that are no more. One that cannot
// be removed is another user's.
func sweep() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), filePrefix+"*-*"))
	if err != nil {
		return // The name of the directory is no pattern: nothing can be looked for.
	}
	for _, path := range left {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), filePrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 0 || alive(pid) {
			continue
		}
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.FileMode(0) {
			_ = os.Remove(path)
		}
	}
}

// alive tells whether there is a process of that number, whoever runs it.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, fs.ErrPermission)
}
