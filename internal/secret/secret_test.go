package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/secret"
)

func open(t *testing.T, path string) *secret.Keyring {
	t.Helper()
	k, err := secret.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, k *secret.Keyring, name, text string) []byte {
	t.Helper()
	sealed, err := k.Seal(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	t.Run("what is sealed shows nothing and opens again after a restart", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "keys")
		sealed := seal(t, open(t, path), "production", "the password")
		if bytes.Contains(sealed, []byte("password")) || bytes.Contains(sealed, []byte("production")) {
			t.Errorf("it shows: %q", sealed)
		}
		got, err := open(t, path).Unseal("production", sealed)
		if err != nil || string(got) != "the password" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("the key file is its owner's alone", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "keys")
		seal(t, open(t, path), "a", "b")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.Open(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no file is made before there is something to seal", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "keys")
		open(t, path)
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("stat: %v", err)
		}
	})
	t.Run("after a rotation old and new open, and the newest key seals", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "keys")
		k := open(t, path)
		before := seal(t, k, "a", "old")
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
		after := seal(t, k, "a", "new")
		for _, k := range []*secret.Keyring{k, open(t, path)} {
			for want, sealed := range map[string][]byte{"old": before, "new": after} {
				if got, err := k.Unseal("a", sealed); err != nil || string(got) != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
		}
		if err := os.WriteFile(path, first, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, path).Unseal("a", after); err == nil {
			t.Error("the first key opens what was sealed after the rotation")
		}
	})
	t.Run("a lost key is told with the file and the mend", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		sealed := seal(t, open(t, filepath.Join(dir, "one")), "cluster production", "x")
		seal(t, open(t, filepath.Join(dir, "two")), "else", "y")
		for _, name := range []string{"two", "missing"} {
			_, err := open(t, filepath.Join(dir, name)).Unseal("cluster production", sealed)
			if _, lost := errors.AsType[*secret.LostKeyError](err); !lost || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
				t.Errorf("error %v", err)
			}
		}
	})
	t.Run("what was sealed for one thing does not open as another", func(t *testing.T) {
		t.Parallel()
		k := open(t, filepath.Join(t.TempDir(), "keys"))
		if _, err := k.Unseal("staging", seal(t, k, "production", "x")); err == nil || !strings.Contains(err.Error(), "tampered") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("what was changed does not open", func(t *testing.T) {
		t.Parallel()
		k := open(t, filepath.Join(t.TempDir(), "keys"))
		sealed := seal(t, k, "a", "x")
		sealed[len(sealed)-1] ^= 1
		if got, err := k.Unseal("a", sealed); err == nil {
			t.Errorf("got %q", got)
		}
	})
}

func TestASpoiledKeyFileIsToldWithoutItsText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	seal(t, open(t, path), "a", "b")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = secret.Open(path)
	if err == nil || !strings.Contains(err.Error(), "line 4 is no age key") || !strings.Contains(err.Error(), path) {
		t.Fatalf("error %v", err)
	}
	if strings.Contains(err.Error(), "SECRET-KEY-1"+"Q") || strings.Contains(err.Error(), string(text[len(text)-30:len(text)-3])) {
		t.Errorf("the key is in the error: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Open(path); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("error %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("# a comment\n"))
	f.Add([]byte("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"))
	f.Add([]byte("AGE-SECRET-KEY-1\n\n#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := secret.Open(path)
		if err != nil {
			return
		}
		// What can be read can be added to and read again.
		sealed := seal(t, k, "a", "x")
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, path).Unseal("a", sealed); err != nil || string(got) != "x" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
