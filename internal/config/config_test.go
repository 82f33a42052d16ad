package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/towline/towline/internal/config"
)

func TestTokensAreMadeOnceAndForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := config.MakeTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := config.MakeTokens(dir)
	if err != nil || first != second || first.Admin == first.Pull || len(first.Admin) < 32 {
		t.Errorf("got %v then %v, %v", first, second, err)
	}
	info, err := os.Stat(filepath.Join(dir, "admin-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v, %v", info.Mode(), err)
	}
}

func TestEndpointIsFoundWithItsToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := config.ReadEndpoint(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before any server: %v", err)
	}
	tokens, err := config.MakeTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Endpoint{URL: "http://127.0.0.1:1", PID: 7}
	if err := config.WriteEndpoint(dir, want); err != nil {
		t.Fatal(err)
	}
	got, token, err := config.ReadEndpoint(dir)
	if err != nil || got != want || token != tokens.Admin {
		t.Errorf("got %v, %q, %v", got, token, err)
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]config.Server{
		"no data directory: give --data DIR":                                                       {Listen: []string{"a:1"}},
		"no address to listen on: give --listen HOST:PORT":                                         {Data: "d"},
		`listen address "8480" is not HOST:PORT: address 8480: missing port in address`:            {Data: "d", Listen: []string{"8480"}},
		`listen address "::1:8480" is not HOST:PORT: address ::1:8480: too many colons in address`: {Data: "d", Listen: []string{"::1:8480"}},
	} {
		if err := s.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := config.Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestURLOfAnAddress(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8480": "http://127.0.0.1:8480",
		"0.0.0.0:80":     "http://127.0.0.1:80",
		":80":            "http://127.0.0.1:80",
		"[::1]:80":       "http://[::1]:80",
	} {
		if got := config.URL(listen); got != want {
			t.Errorf("URL(%q) = %q, want %q", listen, got, want)
		}
	}
}

// TestAHalfWrittenTokenIsNotKept leaves behind what a server does that was
// killed while it made its token.
func TestAHalfWrittenTokenIsNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "admin-token.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := config.MakeTokens(dir); err == nil {
		t.Error("a token that could not be written is kept")
	}
	if _, err := os.Stat(filepath.Join(dir, "admin-token")); !os.IsNotExist(err) {
		t.Errorf("a part of it is there: %v", err)
	}
}
