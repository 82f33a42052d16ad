// Package secret seals what a copied database must not give away. Its noun is
// the Keyring: a file of age X25519 keys that lies outside of the database and
// that only the server's user can read. Anything may be sealed with it; what
// clusters and their credentials are, it does not know.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"filippo.io/age"
)

// maxKeyFile bounds the key file: some thousand keys.
const maxKeyFile = 1 << 20

// Keyring seals with its newest key and opens with any of them. It is safe for
// concurrent use by one process; a second process that rotates the same file
// would lose keys.
type Keyring struct {
	path string

	mu   sync.Mutex
	text []byte // the file as it is
	keys []*age.X25519Identity
}

// Open reads the key file. One that is not there yet is made by the first
// Seal. A file that others can read is refused: what it seals is no secret.
func Open(path string) (*Keyring, error) {
	k := &Keyring{path: path}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be read by others (mode %#o): take that away with `chmod 600 %s`, and rotate the keys with `towline cluster rekey`", path, mode, path)
	}
	if k.text, err = io.ReadAll(io.LimitReader(file, maxKeyFile)); err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if k.keys, err = parse(k.text); err != nil {
		return nil, fmt.Errorf("read key file %s: %w: restore it from a backup", path, err)
	}
	return k, nil
}

// parse reads the keys, oldest first. Its errors quote no line: one that is
// spoiled in one character is a secret all the same.
func parse(text []byte) ([]*age.X25519Identity, error) {
	var keys []*age.X25519Identity
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := age.ParseX25519Identity(string(line))
		if err != nil {
			return nil, fmt.Errorf("line %d is no age key (AGE-SECRET-KEY-1...)", number)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

// Seal encrypts text with the newest key. The name is sealed with it, so that
// what was sealed for one thing does not open as another.
func (k *Keyring) Seal(name string, text []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		if err := k.add(); err != nil {
			return nil, err
		}
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.keys[len(k.keys)-1].Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	if _, err := w.Write(append([]byte(name+"\x00"), text...)); err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal %s: %w", name, err)
	}
	return sealed.Bytes(), nil
}

// LostKeyError says that none of the keys opens something, because the one it
// was sealed with is gone.
type LostKeyError struct{ Name, Path string }

func (e *LostKeyError) Error() string {
	return fmt.Sprintf("the key that %s was encrypted with is not in %s: restore that file from a backup, or remove %s and add it again", e.Name, e.Path, e.Name)
}

// Unseal decrypts what Seal made for the same name. The error is a
// *LostKeyError when its key is gone.
func (k *Keyring) Unseal(name string, sealed []byte) ([]byte, error) {
	k.mu.Lock()
	keys := k.keys
	k.mu.Unlock()
	if len(keys) == 0 {
		return nil, &LostKeyError{Name: name, Path: k.path}
	}
	identities := make([]age.Identity, len(keys))
	for i, key := range keys {
		identities[i] = key
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	if _, lost := errors.AsType[*age.NoIdentityMatchError](err); lost {
		return nil, &LostKeyError{Name: name, Path: k.path}
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", name, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", name, err)
	}
	text, ok := bytes.CutPrefix(text, []byte(name+"\x00"))
	if !ok {
		return nil, fmt.Errorf("decrypt %s: it was encrypted for something else, so the database has been tampered with: remove it and add it again", name)
	}
	return text, nil
}

// Rotate makes a new key, which seals from now on. The old ones stay for what
// is sealed with them, backups of the database included.
func (k *Keyring) Rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.add()
}

// add makes a key and keeps it before anything is sealed with it.
func (k *Keyring) add() error {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	text := bytes.Clone(k.text)
	if len(text) == 0 {
		text = []byte("# The keys of this server's stored secrets, newest last. Keep a copy apart from\n# the database: who has both can read them, and without this nobody can.\n")
	}
	if text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "# public key: %s\n%s\n", key.Recipient(), key)
	if err := replace(k.path, text); err != nil {
		return fmt.Errorf("keep key: %w", err)
	}
	k.text, k.keys = text, append(slices.Clip(k.keys), key)
	return nil
}

// replace writes a file that only its owner can read, in one step that a power
// cut does not undo: the database may keep what is sealed with it right after.
func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone when all went well
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
