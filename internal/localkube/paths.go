package localkube

import (
	"fmt"
	"path/filepath"
)

// paths says where the files of one cluster are. Sockets are under /run,
// because a socket's path may have 107 bytes at most and the directory of
// shims' sockets 38; all else is under the state directory.
type paths struct {
	name, dir string
}

func newPaths(name, dir string) paths { return paths{name: name, dir: dir} }

func (p paths) in(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

func (p paths) state() string  { return p.in("state.json") }
func (p paths) status() string { return p.in("supervisor.json") }
func (p paths) lock() string   { return filepath.Join(runRoot, p.name+".lock") }
func (p paths) supervisorLock() string {
	return filepath.Join(runRoot, p.name+".supervisor.lock")
}
func (p paths) pki(file string) string        { return p.in("pki", file) }
func (p paths) kubeconfig(user string) string { return p.in("kubeconfig", user+".yaml") }
func (p paths) log(component string) string   { return p.in("log", component+".log") }
func (p paths) certsD() string                { return p.in("certs.d") }
func (p paths) node(n int, file ...string) string {
	return p.in(append([]string{nodeName(n)}, file...)...)
}
func (p paths) netns(n int) string { return p.node(n, "netns") }
func (p paths) run(n int) string   { return filepath.Join(runRoot, p.name, fmt.Sprintf("n%d", n)) }

// shims is the directory of the sockets of node n's shims.
func (p paths) shims(n int) string            { return filepath.Join(runRoot, p.name, fmt.Sprintf("s%d", n)) }
func (p paths) containerdSocket(n int) string { return filepath.Join(p.run(n), "containerd.sock") }

// runRoot holds locks and sockets of all clusters of this machine.
const runRoot = "/run/towline-kube"

func nodeName(n int) string { return fmt.Sprintf("node%d", n) }
