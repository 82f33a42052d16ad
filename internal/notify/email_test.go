package notify_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/notify"
)

// mailServer speaks SMTP as a submission server does: mail is taken from who
// has encrypted the connection and signed in.
type mailServer struct {
	address string
	pool    *x509.CertPool
	config  *tls.Config

	mu      sync.Mutex
	letters []string
	signed  []string // what PLAIN was given
	// refuse answers a command, by its first word, in place of what is usual.
	refuse map[string]string
	// plain offers no encryption, quiet drops the connection at QUIT.
	plain, quiet bool
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	s := &mailServer{pool: x509.NewCertPool(), config: &tls.Config{Certificates: certified.TLS.Certificates}, refuse: map[string]string{}}
	s.pool.AddCert(certified.Certificate())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.address = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	say := func(format string, args ...any) { fmt.Fprintf(conn, format+"\r\n", args...) }
	say("220 mail.example.org ready")
	reader := bufio.NewReader(conn)
	encrypted, signed := false, false
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		word = strings.ToUpper(word)
		s.mu.Lock()
		no := s.refuse[word]
		s.mu.Unlock()
		switch {
		case no != "":
			say("%s", no)
		case word == "EHLO":
			say("250-mail.example.org")
			switch {
			case encrypted:
				say("250 AUTH PLAIN")
			case s.plain:
				say("250 8BITMIME")
			default:
				say("250 STARTTLS")
			}
		case word == "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.config)
			reader, encrypted = bufio.NewReader(conn), true
		case word == "AUTH":
			text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			s.mu.Lock()
			s.signed = append(s.signed, string(text))
			s.mu.Unlock()
			signed = true
			say("235 welcome")
		case word == "MAIL" && !signed && !s.plain:
			say("530 5.7.0 sign in first")
		case word == "DATA":
			say("354 go on")
			letter, err := textproto.NewReader(reader).ReadDotBytes()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.letters = append(s.letters, string(letter))
			s.mu.Unlock()
			say("250 taken")
		case word == "QUIT":
			if !s.quiet {
				say("221 bye")
			}
			return
		default:
			say("250 fine")
		}
	}
}

func (s *mailServer) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.letters...)
}

func (s *mailServer) answer(word, with string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[word] = with
}

// mailbox subscribes addresses to stages.
func (s *mailServer) mailbox(change func(*notify.SMTP)) notify.Subscription {
	way := notify.SMTP{Server: s.address, From: "Towline <towline@example.org>", To: []string{"ann@example.org", "ben@example.org"}, User: "towline", Password: "the-password"}
	if change != nil {
		change(&way)
	}
	return notify.Subscription{Name: "mail", Kind: notify.Email, Target: notify.Target{SMTP: &way}, Filter: notify.Filter{Kinds: []notify.What{notify.Stages}}}
}

func TestMailIsSentEncryptedAndSignedIn(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	b := started(t, func(c *notify.Config) { c.RootCAs = s.pool })
	s.quiet = true // how the conversation ends does not matter
	b.add(s.mailbox(nil))
	b.happen(1, "Tést\r\nBcc: eve@example.org")
	b.untilCounts(0, 1, 0)
	letters := s.got()
	if len(letters) != 1 {
		t.Fatalf("letters %q", letters)
	}
	letter, err := mail.ReadMessage(strings.NewReader(letters[0]))
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]string{}
	for _, name := range []string{"From", "To", "Subject", "Bcc", "Auto-Submitted", "User-Agent"} {
		header[name] = letter.Header.Get(name)
	}
	want := map[string]string{
		"From": `"Towline" <towline@example.org>`, "To": "<ann@example.org>, <ben@example.org>", "Bcc": "", "User-Agent": "Towline/1.2.3",
		"Subject": "=?UTF-8?q?[towline]_web_#1:_stage_T=C3=A9st__Bcc:_eve@example.org_started?=", "Auto-Submitted": "auto-generated",
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if !strings.Contains(letters[0], "main 0123456 Mend it (ann)") || !strings.HasSuffix(letter.Header.Get("Message-ID"), "@towline>") {
		t.Errorf("letter:\n%s", letters[0])
	}
	if diff := cmp.Diff([]string{"\x00towline\x00the-password"}, s.signed); diff != "" {
		t.Errorf("signed in as (-want +got):\n%s", diff)
	}
}

func TestMailServersThatSayNo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*mailServer)
		change  func(*notify.SMTP)
		trust   bool
		want    string // part of the problem
		dead    bool
	}{
		"a temporary no is asked again":            {func(s *mailServer) { s.answer("RCPT", "450 4.2.1 try later") }, nil, true, "4.2.1 try later", false},
		"a no for good is dead":                    {func(s *mailServer) { s.answer("RCPT", "550 5.1.1 nobody here") }, nil, true, "5.1.1 nobody here", true},
		"a wrong password may be mended":           {func(s *mailServer) { s.answer("AUTH", "535 5.7.8 wrong") }, nil, true, "5.7.8 wrong", false},
		"without encryption no mail is sent":       {func(s *mailServer) { s.plain = true }, nil, true, "STARTTLS", false},
		"a certificate that nobody knows ends it":  {nil, nil, false, "unknown authority", false},
		"a server that does not speak TLS at once": {nil, func(m *notify.SMTP) { m.Security = notify.TLS }, true, "TLS", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMailServer(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			b := started(t, func(config *notify.Config) {
				config.RootCAs = x509.NewCertPool()
				if c.trust {
					config.RootCAs = s.pool
				}
			})
			b.add(s.mailbox(c.change))
			b.happen(1, "Test")
			if c.dead {
				b.untilCounts(0, 0, 1)
			}
			var problem string
			b.until("it fails", func(ctxT) bool {
				problem = listed(t, b).Counts.Error
				if dead, err := b.Dead(t.Context(), "mail", 1); err == nil && len(dead) > 0 {
					problem = dead[0].Error
				}
				return problem != ""
			})
			if !strings.Contains(problem, c.want) || strings.Contains(problem, "the-password") || len(s.got()) != 0 {
				t.Errorf("problem %q, want %q; %d letters", problem, c.want, len(s.got()))
			}
		})
	}
}

func TestAMailServerOnTheSameMachineNeedsNoEncryption(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	s.plain = true
	b := setup(t, nil)
	b.add(s.mailbox(func(m *notify.SMTP) { m.Security, m.User, m.Password = notify.Plain, "", "" }))
	if problem, err := b.Test(t.Context(), "mail"); problem != nil || err != nil {
		t.Fatal(problem, err)
	}
	if letters := s.got(); len(letters) != 1 || !strings.Contains(letters[0], "Test of the notification mail") {
		t.Errorf("letters %q", letters)
	}
}
