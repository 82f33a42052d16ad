package app

import (
	"time"

	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/secret"
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
