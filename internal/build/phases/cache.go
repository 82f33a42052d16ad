//go:build linux

package phases

import (
	"context"

	"github.com/towline/towline/internal/build/cache"
)

// awsHome is the home directory that buildspecs name, which were written for
// builds as root.
const awsHome = "/root"

// restoreCache restores what earlier builds have kept. It is asked of the same
// shell as the commands: the key may hold variables and commands.
func (p *walker) restoreCache(ctx context.Context) error {
	if p.Build.Cache == nil {
		return nil
	}
	if p.Archives == nil {
		p.Output.Printf("warning: cache: this backend keeps no caches; nothing is restored or saved")
		return nil
	}
	p.keeper = &cache.Keeper{
		Cache: *p.Build.Cache, Archives: p.Archives, Owner: p.User, Printf: p.Output.Printf,
		Places: append([]cache.Place{
			{Name: "source", Dir: p.Source, Seen: []string{p.Source}},
			{Name: "home", Dir: p.own.home, Seen: []string{p.own.home, awsHome}},
		}, p.Places...),
	}
	return p.keeper.Restore(ctx, p.shell.texts)
}

// saveCache keeps the files of a build that succeeded.
func (p *walker) saveCache(ctx context.Context) {
	if _, failed := p.ended.Failed(); p.keeper != nil && !failed {
		p.keeper.Save(ctx)
	}
}

// texts are texts with their variables and commands replaced, none when the
// shell cannot read one of them.
func (s *shell) texts(ctx context.Context, texts []string) ([]string, error) {
	answers, err := s.ask(ctx, expanding(texts), len(texts))
	if len(answers) != len(texts) {
		return nil, err
	}
	return answers, err
}
