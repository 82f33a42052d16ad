package drain

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is an application that shows what it gets.
func everything() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s host=%s body=%d", r.Method, r.URL, r.Host, len(body)))
		w.Header().Set("X-Trailer-Seen", r.Trailer.Get("T"))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/status/", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscanf(r.URL.Path, "/status/%d", &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Sum")
		_, _ = io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("Sum", "4")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "late")
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	return mux
}

var date = regexp.MustCompile(`Date: [^\r]*`)

func TestEveryAnswerComesAsTheApplicationWroteIt(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, everything(), quick)
	large := strings.Repeat("x", 300_000)
	for _, tt := range []struct{ name, request string }{
		{"a page", "GET /a?b=c HTTP/1.1\r\nHost: shop.example.com:8080\r\nConnection: close\r\n\r\n"},
		{"a posted body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{"a large body", fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(large), large)},
		{"chunks with a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nConnection: close\r\n\r\n3;x=1\r\nabc\r\n0\r\nT: yes\r\n\r\n"},
		{"large chunks", fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large)},
		{"two requests at once", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"many requests at once", strings.Repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 200) + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"no content", "GET /status/204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"not modified", "GET /status/304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"an error of the application", "GET /status/503 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"a trailer of the answer", "GET /trailer HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n"},
		{"early hints", "GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"continue", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nabc"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
		{"HTTP/1.0 that keeps the connection", "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"},
		{"an answer cut in the middle", "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"a bad request", "GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n"},
		{"no host", "GET / HTTP/1.1\r\n\r\n"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc"},
		{"another protocol", "EHLO example.com\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var answers []string
			for _, address := range []string{s.app, s.address} {
				d := dial(t, address)
				d.send(tt.request)
				got, err := d.end()
				if err != nil {
					got += err.Error()
				}
				answers = append(answers, date.ReplaceAllString(got, "Date: now"))
			}
			if answers[0] == "" {
				t.Error("the application answers nothing")
			}
			if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
				t.Errorf("(-direct +through the proxy)\n%s", diff)
			}
		})
	}
}

func TestTheApplicationLearnsTheClientsAddressAndNoLocalOne(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["X-Forwarded-For"])
	}), quick)
	d := dial(t, s.address)
	d.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
	body, _ := io.ReadAll(d.answer("GET").Body)
	if string(body) != "[1.2.3.4, 127.0.0.1]" {
		t.Errorf("X-Forwarded-For %s", body)
	}
}

func TestAStreamIsPassedOnWithoutDelay(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	s := startHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for text := range next {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
	}), quick)
	d := dial(t, s.address)
	d.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	next <- "first"
	response, err := http.ReadResponse(d.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q: %v", got, err)
		}
		if want == "first" {
			next <- "second"
		}
	}
	close(next)
}

func TestALargeBodyGoesThroughWhole(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	s := startHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Header().Set("Sum", fmt.Sprintf("%x", sum.Sum(nil)))
		_, _ = io.CopyN(w, zeros{}, size)
	}), quick)
	for _, length := range []int64{size, -1} {
		want := sha256.New()
		body := io.TeeReader(io.LimitReader(zeros{}, size), want)
		request, err := http.NewRequest(http.MethodPost, "http://"+s.address, body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, response.Body)
		if err != nil || n != size || response.Header.Get("Sum") != fmt.Sprintf("%x", want.Sum(nil)) {
			t.Errorf("%d bytes, sum %s: %v", n, response.Header.Get("Sum"), err)
		}
		_ = response.Body.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAnUpgradedConnectionSpeaksFreely(t *testing.T) {
	t.Parallel()
	s := startRaw(t, quick, func(conn *net.TCPConn) {
		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello")
		_, _ = io.Copy(conn, r)
	})
	d := dial(t, s.address)
	// What follows the request looks like one, but is not.
	d.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nGET /no HTTP/1.1\r\n\r\n")
	response, err := http.ReadResponse(d.r, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatal(response, err)
	}
	_ = d.conn.CloseWrite()
	if got, err := d.end(); got != "helloGET /no HTTP/1.1\r\n\r\n" || err != nil {
		t.Errorf("%q: %v", got, err)
	}
}

func TestAServerThatSpeaksFirstIsHeard(t *testing.T) {
	t.Parallel()
	s := startRaw(t, quick, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "220 ready\r\n")
		_, _ = io.Copy(conn, conn)
	})
	d := dial(t, s.address)
	if line, err := d.r.ReadString('\n'); line != "220 ready\r\n" || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	d.send("EHLO a\r\n")
	if line, err := d.r.ReadString('\n'); line != "EHLO a\r\n" || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

func TestTLSPassesUntouched(t *testing.T) {
	t.Parallel()
	app := httptest.NewUnstartedServer(everything())
	app.EnableHTTP2 = true
	app.StartTLS()
	t.Cleanup(app.Close)
	l := listen(t)
	s := start(t, app.Listener, quick)
	_ = l.Close()
	client := app.Client()
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
	response, err := client.Get("https://" + s.address + "/a")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.ProtoMajor != 2 || response.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s", response.Proto)
	}
	client.CloseIdleConnections()
}

func TestWhereNobodyListensTheConnectionIsReset(t *testing.T) {
	t.Parallel()
	app := listen(t)
	s := start(t, app, quick)
	_ = app.Close()
	conn, err := net.Dial("tcp", s.address)
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

func TestAConnectionTheApplicationClosesIsClosed(t *testing.T) {
	t.Parallel()
	s := startRaw(t, quick, func(conn *net.TCPConn) {
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_ = r.Body.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	d := dial(t, s.address)
	d.get("/")
	if rest, err := d.end(); rest != "" || err != nil {
		t.Errorf("%q: %v", rest, err)
	}
}

func TestHTTP2GoesThrough(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, everything(), quick)
	client := clientHTTP2(t)
	for _, size := range []int{0, 10, 1 << 20} {
		response, err := client.Post("http://"+s.address+"/", "text/plain", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || len(body) != size || response.ProtoMajor != 2 {
			t.Errorf("%d bytes of %d by %s: %v", len(body), size, response.Proto, err)
		}
	}
}

func clientHTTP2(t testing.TB) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestPairsAreRefusedThatLeadNowhere(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "80", "=80", "80=", "0=80", "80=80", "80=65536", "a=b", "80=81=82", "-1=80"} {
		if p, err := ParsePair(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
	if p, err := ParsePair("15191=8080"); err != nil || p.String() != "15191=8080" {
		t.Error(p, err)
	}
	if err := Serve(t.Context(), Config{}); err == nil {
		t.Error("no pairs")
	}
	taken := listen(t)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if err := Serve(t.Context(), Config{Host: "127.0.0.1", Admin: freePorts(t, 1)[0], Pairs: []Pair{{Listen: port, Target: 1}}}); err == nil {
		t.Error("the port is taken")
	}
}
