package drain

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/waittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// server is a proxy before an application of the test.
type server struct {
	address string
	app     string // address of the application
	admin   int
	stop    context.CancelFunc
	ended   chan error
}

// quick is a configuration whose drain is over soon.
var quick = Config{Detach: 300 * time.Millisecond, Longest: 5 * time.Second}

// start serves before whatever listens on app.
func start(t testing.TB, app net.Listener, config Config) *server {
	t.Helper()
	ports := freePorts(t, 2)
	_, target, _ := net.SplitHostPort(app.Addr().String())
	pair, err := ParsePair(fmt.Sprintf("%d=%s", ports[0], target))
	if err != nil {
		t.Fatal(err)
	}
	config.Pairs, config.Host, config.Admin = []Pair{pair}, "127.0.0.1", ports[1]
	ctx, stop := context.WithCancel(context.Background())
	s := &server{
		address: fmt.Sprintf("127.0.0.1:%d", ports[0]), app: app.Addr().String(), admin: ports[1],
		stop: stop, ended: make(chan error, 1),
	}
	go func() { s.ended <- Serve(ctx, config) }()
	t.Cleanup(func() {
		_ = app.Close()
		stop()
		select {
		case err := <-s.ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the proxy does not end")
		}
	})
	waittest.Until(t, "the proxy listens", func() bool {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", s.admin))
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return s
}

// startHTTP serves before a handler that understands HTTP/1.1 and HTTP/2.
func startHTTP(t testing.TB, handler http.Handler, config Config) *server {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	app := &http.Server{Handler: handler, Protocols: &protocols}
	l := listen(t)
	go func() { _ = app.Serve(l) }()
	s := start(t, l, config)
	t.Cleanup(func() { _ = app.Close() })
	return s
}

// startRaw serves before an application that is a function of a connection.
func startRaw(t testing.TB, config Config, app func(conn *net.TCPConn)) *server {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				app(conn.(*net.TCPConn))
				_ = conn.Close()
			}()
		}
	}()
	return start(t, l, config)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l := listen(t)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// begin begins the drain and returns a channel that is closed when it is over.
func (s *server) begin(t testing.TB) chan struct{} {
	t.Helper()
	if err := Begin(t.Context(), s.admin); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/drained", s.admin))
		if err != nil {
			t.Error(err)
			return
		}
		_ = response.Body.Close()
	}()
	return done
}

// dialer is one connection of a client.
type dialer struct {
	t    testing.TB
	conn *net.TCPConn
	r    *bufio.Reader
}

func dial(t testing.TB, address string) *dialer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &dialer{t: t, conn: conn.(*net.TCPConn), r: bufio.NewReader(conn)}
}

func (d *dialer) send(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.conn, text); err != nil {
		d.t.Fatal(err)
	}
}

// get sends a GET and returns the answer, read to its end.
func (d *dialer) get(path string) *http.Response {
	d.t.Helper()
	d.send("GET " + path + " HTTP/1.1\r\nHost: web\r\n\r\n")
	return d.answer("GET")
}

func (d *dialer) answer(method string) *http.Response {
	d.t.Helper()
	response, err := http.ReadResponse(d.r, &http.Request{Method: method})
	if err != nil {
		d.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body = io.NopCloser(strings.NewReader(string(body)))
	return response
}

// end waits for the other side to close the connection and returns what came
// before.
func (d *dialer) end() (string, error) {
	rest, err := io.ReadAll(d.r)
	return string(rest), err
}
