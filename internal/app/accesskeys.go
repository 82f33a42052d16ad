package app

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// awsAccount stands where AWS's names of resources have an account.
const awsAccount = "000000000000"

// accessKeys are those with which AWS's clients sign. Their secrets lie in the
// database sealed; those in use are kept open in memory.
type accessKeys struct {
	store *store.DB
	keys  *secret.Keyring
	now   func() time.Time

	mu   sync.Mutex
	open map[string]openKey // by id
}

var (
	_ server.AccessKeys = (*accessKeys)(nil)
	_ access.Keys       = (*accessKeys)(nil)
)

// openKey is good for as long as what is stored is the same.
type openKey struct {
	sealed []byte
	secret string
	used   time.Time
}

func accessKeyLabel(id string) string { return "access key " + id }

// List shows the access keys.
func (k *accessKeys) List(ctx context.Context) ([]client.AccessKey, error) {
	all, err := k.store.AccessKeys(ctx)
	if err != nil {
		return nil, err
	}
	found := []client.AccessKey{}
	for _, stored := range all {
		found = append(found, showAccessKey(stored))
	}
	return found, nil
}

func showAccessKey(stored store.AccessKey) client.AccessKey {
	shown := client.AccessKey{ID: stored.ID, Role: client.Role(stored.Role), Note: stored.Note, Created: stored.Created}
	if !stored.Used.IsZero() {
		shown.Used = &stored.Used
	}
	return shown
}

// Create makes an access key. AWS's clients check the form of both its parts.
func (k *accessKeys) Create(ctx context.Context, role client.Role, note string) (client.NewAccessKey, error) {
	stored := store.AccessKey{ID: "AKIA" + rand.Text()[:16], Role: string(role), Note: note, Created: k.now().UTC().Truncate(time.Second)}
	random := make([]byte, 30)
	_, _ = rand.Read(random)
	text := base64.StdEncoding.EncodeToString(random) // 40 characters, as AWS's
	var err error
	if stored.Sealed, err = k.keys.Seal(accessKeyLabel(stored.ID), []byte(text)); err != nil {
		return client.NewAccessKey{}, err
	}
	if err := k.store.AddAccessKey(ctx, stored); err != nil {
		return client.NewAccessKey{}, err
	}
	return client.NewAccessKey{AccessKey: showAccessKey(stored), Secret: text}, nil
}

// Revoke ends an access key: the next request with it is refused.
func (k *accessKeys) Revoke(ctx context.Context, id string) error {
	if err := k.store.RemoveAccessKey(ctx, id); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, id)
	return nil
}

// Key opens an access key that signs a request.
func (k *accessKeys) Key(ctx context.Context, id string) (access.Key, error) {
	stored, err := k.store.AccessKey(ctx, id)
	if err != nil {
		return access.Key{}, err
	}
	k.mu.Lock()
	known, ok := k.open[id]
	k.mu.Unlock()
	if !ok || !bytes.Equal(known.sealed, stored.Sealed) {
		text, err := k.keys.Unseal(accessKeyLabel(id), stored.Sealed)
		if err != nil {
			return access.Key{}, err
		}
		known = openKey{sealed: stored.Sealed, secret: string(text), used: stored.Used}
		k.mu.Lock()
		k.open[id] = known
		k.mu.Unlock()
	}
	return access.Key{ID: id, Secret: known.secret, Role: client.Role(stored.Role), Note: stored.Note}, nil
}

// Used records the hour, so that a busy key is written once in it.
func (k *accessKeys) Used(ctx context.Context, id string) error {
	hour := k.now().UTC().Truncate(time.Hour)
	k.mu.Lock()
	known, ok := k.open[id]
	fresh := ok && known.used.Before(hour)
	if fresh {
		known.used = hour
		k.open[id] = known
	}
	k.mu.Unlock()
	if !fresh {
		return nil
	}
	return k.store.UseAccessKey(ctx, id, hour)
}

// rekey seals every access key and every webhook of AWS's clients with the
// newest key, all or none of each.
func (k *accessKeys) rekey(ctx context.Context) error {
	err := k.store.ResealAWSWebhooks(ctx, func(name string, sealed []byte) ([]byte, error) {
		text, err := k.keys.Unseal(awsWebhookLabel(name), sealed)
		if err != nil {
			return nil, err
		}
		return k.keys.Seal(awsWebhookLabel(name), text)
	})
	if err != nil {
		return err
	}
	_, err = k.store.ResealAccessKeys(ctx, func(id string, sealed []byte) ([]byte, error) {
		text, err := k.keys.Unseal(accessKeyLabel(id), sealed)
		if err != nil {
			return nil, err
		}
		return k.keys.Seal(accessKeyLabel(id), text)
	})
	return err
}

// awsPageKey is made from a secret that the server has anyway, so that a page
// that a client holds is good after a restart too.
func awsPageKey(adminToken string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(adminToken), nil, "towline pages of AWS lists", 32)
	if err != nil {
		return nil, fmt.Errorf("make the key of AWS lists' pages: %w", err)
	}
	return key, nil
}
