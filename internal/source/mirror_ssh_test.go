package source

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshKey makes a key and returns it as ssh-keygen would write it.
func sshKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "towline")
	if err != nil {
		t.Fatal(err)
	}
	return must[ssh.Signer](t)(ssh.NewSignerFromSigner(key)), string(pem.EncodeToMemory(block))
}

// sshServer serves the repositories in dir over SSH to whoever has the key, and
// returns its address and its line of known_hosts.
func sshServer(t *testing.T, dir string, allowed ssh.PublicKey) (address, known string) {
	t.Helper()
	host, _ := sshKey(t)
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("who are you?")
		}
		return nil, nil //nolint:nilnil // no permissions are needed
	}}
	cfg.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, cfg, dir)
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	return listener.Addr().String(), fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(host.PublicKey()))
}

// serveSSH runs git upload-pack for each session that asks for it.
func serveSSH(conn net.Conn, cfg *ssh.ServerConfig, dir string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, asks, err := offered.Accept()
		if err != nil {
			return
		}
		for ask := range asks {
			if ask.Type != "exec" {
				ask.Reply(ask.Type == "env", nil)
				continue
			}
			var command struct{ Line string }
			if err := ssh.Unmarshal(ask.Payload, &command); err != nil {
				return
			}
			ask.Reply(true, nil)
			name := strings.Trim(strings.TrimPrefix(command.Line, "git-upload-pack "), "'/")
			git := exec.Command("git", "-c", "safe.directory=*", "upload-pack", filepath.Join(dir, name))
			git.Stdout, git.Stderr = channel, channel.Stderr()
			stdin, err := git.StdinPipe()
			if err != nil {
				return
			}
			go io.Copy(stdin, channel)
			status := struct{ Code uint32 }{}
			if err := git.Run(); err != nil {
				status.Code = 128
			}
			channel.SendRequest("exit-status", false, ssh.Marshal(status))
			channel.Close()
			break
		}
	}
}

func TestMirrorsOverSSH(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatalf("this test needs the Debian package openssh-client: %v", err)
	}
	f := setup(t, nil, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main")
	signer, key := sshKey(t)
	_, stranger := sshKey(t)
	address, known := sshServer(t, f.dir, signer.PublicKey())
	_, otherHost := sshServer(t, f.dir, signer.PublicKey())
	impostor := strings.Fields(known)[0] + " " + strings.SplitN(otherHost, " ", 2)[1]
	// A directory with signs that the shell or ssh could read as theirs.
	dir := filepath.Join(t.TempDir(), "it's 100%d odd")
	n := open(t, dir, nil)
	mirror := func(key, known string) Mirror {
		return Mirror{Name: "web", URL: "ssh://git@" + address + "/web.git", Credentials: Credentials{PrivateKey: key, KnownHosts: known}}
	}
	for name, tt := range map[string]struct {
		m    Mirror
		text string
	}{
		"a key that the host does not know": {mirror(stranger, known), "does not accept these credentials"},
		"a host that nobody knows":          {mirror(key, "example.com "+strings.SplitN(known, " ", 2)[1]), "not one of the known hosts"},
		"a host with another key":           {mirror(key, impostor), "not one of the known hosts"},
	} {
		if _, err := n.AddMirror(t.Context(), tt.m); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	push, err := n.AddMirror(t.Context(), mirror(key, known))
	if err != nil || len(push.Updates) != 1 {
		t.Fatalf("%+v, %v", push, err)
	}
	want := c.commit("a", "1", "Second")
	c.git("push", "origin", "main")
	m := mirror(key, known)
	m.URL = "git@" + strings.Replace(address, ":", "_", 1) + ":web.git" // this form has no port
	if err := n.CheckURL(m.URL); err != nil {
		t.Error(err)
	}
	push, err = n.UpdateMirror(t.Context(), mirror(key, known))
	if err != nil || push.Updates[0].New != want {
		t.Errorf("%+v, %v", push, err)
	}
	entries := must[[]os.DirEntry](t)(os.ReadDir(dir))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scratch) {
			t.Errorf("the key is left behind in %s", e.Name())
		}
	}
}
