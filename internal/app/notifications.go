package app

import (
	"context"
	"time"

	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
)

// awsRegion stands where AWS's names of resources in events have a region.
const awsRegion = "local"

func (a *App) newNotifier(keys *secret.Keyring) *notify.Notifier {
	return notify.New(notify.Config{
		Store: a.store, Keys: keys, Account: awsAccount, Region: awsRegion, Version: a.options.Version,
		Link: func(execution string) string { return a.PublicURL() + "/api/v1/executions/" + execution },
		Now:  time.Now, Logger: a.options.Logger,
	})
}

// allSealed is what is rekeyed together, since one key file seals all of it.
type allSealed struct {
	sealed
	notifications *notify.Notifier
}

var _ server.Clusters = allSealed{}

// Rekey makes a new key and seals everything with it. It returns how many
// clusters there are.
func (s allSealed) Rekey(ctx context.Context) (int, error) {
	count, err := s.sealed.Rekey(ctx)
	if err != nil {
		return 0, err
	}
	return count, s.notifications.Reseal(ctx)
}
