package deploy

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
)

// line is a TCP connection to the API server that can be cut.
type line struct {
	target string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *line) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.target)
		l.mu.Lock()
		if err != nil || l.cut {
			client.Close()
			if err == nil {
				server.Close()
			}
		} else {
			l.conns = append(l.conns, client, server)
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
		l.mu.Unlock()
	}
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// cuttable returns the cluster of $KUBECONFIG behind a line that can be cut.
func cuttable(t *testing.T, cluster *kube.Cluster) (*kube.Cluster, *line) {
	t.Helper()
	server, err := url.Parse(cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	l := &line{target: server.Host}
	go l.serve(listener)
	text, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for _, c := range config["clusters"].([]any) {
		fields := c.(map[string]any)["cluster"].(map[string]any)
		fields["server"], fields["tls-server-name"] = "https://"+listener.Addr().String(), server.Hostname()
	}
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	behind, err := kube.Connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	return behind, l
}

func TestTheAPIServerMayBeAwayForAWhile(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"lease", "journal", "deploying apply Deployment web", "deploying wait Deployment web"} {
		t.Run("cut off after "+point, func(t *testing.T) {
			b := setup(t)
			image := webImage(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployFirst(t)
			cluster, l := cuttable(t, b.cluster)
			config := b.config
			config.Cluster = cluster
			config.reached = func(reached string) {
				if reached == point {
					l.set(true)
					time.AfterFunc(6*time.Second, func() { l.set(false) })
				}
			}
			b.write(t, web(image, 1, "VERSION=2")+ready, webService)
			request := b.request()
			request.Verify.Off = true
			d, err := New(config).Deploy(t.Context(), request)
			if err != nil || d.Outcome != "Succeeded" || d.Revision != 2 {
				t.Errorf("%+v, %v; want revision 2", d, err)
			}
		})
	}
}
