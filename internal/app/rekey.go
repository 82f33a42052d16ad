package app

import (
	"context"

	"github.com/towline/towline/internal/server"
)

// sealed are the clusters, and whatever else is rekeyed with them, since one key
// file seals all of it.
type sealed struct {
	*clusters
	others []func(context.Context) error // seal again with the newest key
}

var _ server.Clusters = sealed{}

// sealed is all that this server keeps sealed.
func (a *App) sealed() sealed {
	return sealed{a.clusters, []func(context.Context) error{a.accessKeys.rekey, a.sessions().rekey, a.functions.reseal, a.mirrors.reseal, a.notifier.Reseal, a.secrets.reseal, a.attestKeys.reseal}}
}

// Rekey makes a new key and seals everything with it. It returns how many
// clusters there are.
func (s sealed) Rekey(ctx context.Context) (int, error) {
	count, err := s.clusters.Rekey(ctx)
	if err != nil {
		return 0, err
	}
	for _, reseal := range s.others {
		if err := reseal(ctx); err != nil {
			return 0, err
		}
	}
	return count, nil
}
