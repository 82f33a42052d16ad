package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// fakeSecrets answers by the name of the secret.
type fakeSecrets struct{}

var _ server.Secrets = fakeSecrets{}

func (fakeSecrets) List(context.Context) ([]client.Secret, error) {
	return []client.Secret{{Name: "web/db", Version: 3}}, nil
}

func (fakeSecrets) Set(_ context.Context, req client.SecretRequest) (client.Secret, error) {
	if req.Name == "wrong" {
		return client.Secret{}, &secret.Error{Message: "the value is not text", Hint: "store it as base64"}
	}
	version := 0
	if req.Value != nil {
		version = len(*req.Value)
	}
	return client.Secret{Name: req.Name, Version: version, Users: req.Users}, nil
}

func (fakeSecrets) Delete(_ context.Context, name string) error {
	return fmt.Errorf("secret %s: %w", name, store.ErrNotFound)
}

func TestSecretsOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	ctx := t.Context()
	t.Run("only the admin may touch them", func(t *testing.T) {
		t.Parallel()
		for _, call := range [][2]string{{"GET", "/secrets"}, {"POST", "/secrets"}, {"DELETE", "/secrets?name=x"}, {"GET", "/attest-keys"}, {"POST", "/attest-keys"}} {
			for _, token := range []string{"", tokens.Pull} {
				if got := status(t, call[0], b.url+"/api/v1"+call[1], token); got != http.StatusUnauthorized {
					t.Errorf("%s %s with token %q = %d", call[0], call[1], token, got)
				}
			}
		}
	})
	t.Run("the largest value arrives, whatever its characters", func(t *testing.T) {
		t.Parallel()
		for _, character := range []string{"x", "\x01", "\u2028"} {
			value := strings.Repeat(character, secret.MaxValue/len(character))
			if got, err := b.api.SetSecret(ctx, client.SecretRequest{Name: "/web/db", Value: &value}); err != nil || got.Version != len(value) {
				t.Errorf("%q: %d bytes, %v", character, got.Version, err)
			}
		}
	})
	t.Run("errors say how to mend them and hold no value", func(t *testing.T) {
		t.Parallel()
		value := "s3cret"
		_, wrong := b.api.SetSecret(ctx, client.SecretRequest{Name: "wrong", Value: &value})
		_, long := b.api.SetSecret(ctx, client.SecretRequest{Name: strings.Repeat("s3cret", 100), Value: &value})
		for want, err := range map[string]error{
			"the value is not text: store it as base64": wrong,
			"validation failed":                         long,
			"secret web/none: not found":                b.api.DeleteSecret(ctx, "web/none"),
		} {
			if _, ok := errors.AsType[*client.Error](err); !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want %q in it", err, want)
			}
		}
	})
	t.Run("they are listed", func(t *testing.T) {
		t.Parallel()
		if found, err := b.api.Secrets(ctx); err != nil || len(found) != 1 || found[0].Version != 3 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}
