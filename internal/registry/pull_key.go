package registry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// pullKey signs and checks pull tokens.
type pullKey struct {
	id     string // 8 hex digits, public
	secret []byte
}

// pullKeys are the keys of one registry. The first one signs, all of them check.
type pullKeys []pullKey

// pullKeysFile is where a registry keeps them, below its directory: one key a
// line, in hex.
const pullKeysFile = "pull-keys"

const pullKeySize = sha256.Size

// openPullKeys reads a registry's keys, and makes the first one when there are
// none.
func openPullKeys(dir string) (pullKeys, error) {
	path := filepath.Join(dir, pullKeysFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makePullKeys(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the pull keys: %w", err)
	}
	var keys pullKeys
	for line := range strings.Lines(string(text)) {
		secret, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil || len(secret) != pullKeySize {
			return nil, fmt.Errorf("open the pull keys: line %d of %s is not %d hexadecimal digits: mend it, or remove the file, "+
				"after which every application must be deployed once more to pull its image", len(keys)+1, path, 2*pullKeySize)
		}
		keys = append(keys, newPullKey(secret))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("open the pull keys: %s is empty: remove it", path)
	}
	return keys, nil
}

// makePullKeys writes a file with a first key. Its whole content is linked into
// place, so that of several processes one wins and none reads half of it.
func makePullKeys(path string) ([]byte, error) {
	text := []byte(hex.EncodeToString(newSecret()) + "\n")
	temp, err := os.CreateTemp(filepath.Dir(path), pullKeysFile+"-*") // for its owner only
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return os.ReadFile(path)
		}
		return nil, err
	}
	return text, nil
}

func newSecret() []byte {
	secret := make([]byte, pullKeySize)
	_, _ = rand.Read(secret) // which never fails
	return secret
}

func newPullKey(secret []byte) pullKey {
	sum := sha256.Sum256(append([]byte("towline pull key\x00"), secret...))
	return pullKey{id: hex.EncodeToString(sum[:4]), secret: secret}
}

// sign is the signature of a text as a token carries it.
func (k pullKey) sign(text string) string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(text)) // which never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
