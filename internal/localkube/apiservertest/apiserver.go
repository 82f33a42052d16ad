// Package apiservertest gives tests a real kube-apiserver with its etcd, on
// loopback and with the flags that they need. It has no nodes and no
// controllers: it answers who one is and what one may do, and keeps objects.
package apiservertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/towline/towline/internal/localkube"
)

// patience bounds the start. It takes six seconds on an idle machine.
const patience = 3 * time.Minute

// Server is a running API server.
type Server struct {
	URL string // https://127.0.0.1:PORT
	*PKI
	dir       string
	processes []*exec.Cmd
}

// Start starts etcd and an API server with RBAC and the PKI's authorities for
// clients and for authenticating proxies. args are further flags. All files
// are in dir. The caller must Stop it; if this process is killed, the kernel
// ends them.
func Start(ctx context.Context, dir string, args ...string) (*Server, error) {
	cluster, err := localkube.New(localkube.Config{Name: "apiservertest"})
	if err != nil {
		return nil, err
	}
	kubebox, err := cluster.Kubebox(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w; `towline cluster up` compiles it", err)
	}
	pki, err := NewPKI(dir)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "https://127.0.0.1:" + ports[0], PKI: pki, dir: dir}
	etcd := "http://127.0.0.1:" + ports[1]
	peer := "http://127.0.0.1:" + ports[2]
	err = s.run(kubebox, []string{"etcd", "--data-dir=" + filepath.Join(dir, "etcd"), "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer, "--unsafe-no-fsync", "--log-level=warn"})
	if err == nil {
		err = s.run(kubebox, slices.Concat([]string{"kube-apiserver"}, s.flags(ports[0], etcd), args))
	}
	if err == nil {
		err = s.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) flags(port, etcd string) []string {
	file := func(name string) string { return filepath.Join(s.dir, name) }
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--secure-port=" + port, "--endpoint-reconciler-type=none",
		"--tls-cert-file=" + file("apiserver.crt"), "--tls-private-key-file=" + file("apiserver.key"), "--client-ca-file=" + file("ca.crt"),
		"--requestheader-client-ca-file=" + file("proxy-ca.crt"), "--requestheader-allowed-names=" + ProxyName,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-uid-headers=X-Remote-Uid", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--authorization-mode=RBAC", "--service-account-issuer=" + Issuer,
		"--service-account-key-file=" + file("sa.key"), "--service-account-signing-key-file=" + file("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/24", "--profiling=false",
	}
}

// run starts one component. Its output is in a file of its name.
func (s *Server) run(kubebox string, args []string) error {
	log, err := os.Create(filepath.Join(s.dir, args[0]+".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(kubebox, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A killed test leaves nothing. The kernel's signal comes when the thread
	// that started the process ends, so that thread must not end before.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	s.processes = append(s.processes, cmd)
	return nil
}

// ready waits until the API server has made its own roles.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.AdminTLS()}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", http.NoBody); err == nil {
			if response, err := client.Do(request); err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server: %w\n%s", ctx.Err(), s.logs())
		case <-tick.C:
		}
	}
}

func (s *Server) logs() string {
	var all bytes.Buffer
	for _, name := range []string{"etcd.log", "kube-apiserver.log"} {
		text, _ := os.ReadFile(filepath.Join(s.dir, name)) // it may not have got so far
		fmt.Fprintf(&all, "%s:\n%s\n", name, text[max(0, len(text)-3000):])
	}
	return all.String()
}

// Stop ends both processes at once: nothing of them is kept.
func (s *Server) Stop() error {
	var errs []error
	for _, cmd := range s.processes {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	s.processes = nil
	return errors.Join(errs...)
}

// freePorts asks the kernel for ports that nobody uses at this moment.
func freePorts(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all are held until all are known
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("listen: %s is no TCP address", listener.Addr())
		}
		ports = append(ports, strconv.Itoa(address.Port))
	}
	return ports, nil
}
