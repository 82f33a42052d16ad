package localkube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the supervisor, as the towline binary is
// outside of tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		c, err := New(Config{Name: os.Args[2], Dir: os.Args[3], Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err == nil {
			err = c.Supervise(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// testCluster is a cluster of the test's own, gone when the test ends.
func testCluster(t *testing.T, name string, nodes int) *Cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test starts containers: run it as root")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("/var/lib/towline/test", name)
	c := newCluster(t, Config{
		Name: name, Dir: dir, Nodes: nodes, Supervisor: []string{exe, "supervise", name, dir},
		Progress: func(line string) { t.Log(line) },
	})
	down := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if err := c.Down(ctx); err != nil {
			t.Errorf("down: %v", err)
		}
		_ = os.Remove("/var/lib/towline/test")
	}
	down() // A killed test may have left its cluster.
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, c)
		}
		down()
	})
	return c
}

func showLogs(t *testing.T, c *Cluster) {
	t.Helper()
	status, err := c.Status(context.WithoutCancel(t.Context()))
	t.Logf("status: %+v, %v", status, err)
	logs, _ := filepath.Glob(c.paths.in("log", "*.log"))
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		t.Logf("%s:\n%s", log, text[max(0, len(text)-2000):])
	}
}

// eventually waits for what another process is about to do.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := poll(ctx, 200*time.Millisecond, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func kubectl(t *testing.T, c *Cluster, stdin string, args ...string) (string, error) {
	t.Helper()
	binary, err := c.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"--kubeconfig", c.Kubeconfig(), "--context", c.config.Name}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func mustKubectl(t *testing.T, c *Cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := kubectl(t, c, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pod is a pod of netcheck pinned to a node, under the strictest of
// Kubernetes' own pod security rules.
func pod(name, node, image string, args ...string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  nodeName: %[2]s
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: netcheck
    image: %[3]s
    args: ["%[4]s"]
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, name, node, image, strings.Join(args, `", "`))
}

const service = `
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
`

func greet(address string) error {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err == nil && string(text) != "hello\n" {
		err = fmt.Errorf("%s says %q", address, text)
	}
	return err
}

func killSupervisor(t *testing.T, c *Cluster) {
	t.Helper()
	r, alive := c.supervisor()
	if !alive {
		t.Fatal("no supervisor runs")
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor is gone", func() error {
		if _, alive := c.supervisor(); alive {
			return errors.New("it lives")
		}
		return nil
	})
}

func component(t *testing.T, c *Cluster, name string) Component {
	t.Helper()
	for _, component := range mustStatus(t, c).Components {
		if component.Name == name {
			return component
		}
	}
	t.Fatalf("there is no component %s", name)
	return Component{}
}

func mustStatus(t *testing.T, c *Cluster) Status {
	t.Helper()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func layoutOf(t *testing.T, c *Cluster) layout {
	t.Helper()
	s, err := c.readState()
	if err != nil {
		t.Fatal(err)
	}
	return newLayout(s.Slot)
}
