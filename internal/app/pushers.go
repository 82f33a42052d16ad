package app

import (
	"strings"
	"sync"

	"github.com/towline/towline/internal/forge"
)

// mostPushers bounds how many pushes are remembered that no look has found yet.
const mostPushers = 1000

// pushers remember who has pushed what by the webhooks' word, until the look at
// the mirror finds it: git does not know. A server that ends meanwhile forgets
// it, and the build has no CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID then. The zero
// value remembers nothing yet, and is safe for concurrent use.
type pushers struct {
	mu    sync.Mutex
	told  map[pushedRef]string
	order []pushedRef // the oldest first
}

// pushedRef is a ref of a mirror, and of a branch the commit that it was moved
// to. A tag may be an object of its own, which the forge names in its place.
type pushedRef struct{ mirror, ref, commit string }

func refOf(mirror, ref, commit string) pushedRef {
	if strings.HasPrefix(ref, tagRef) {
		commit = ""
	}
	return pushedRef{mirror, ref, commit}
}

// tell notes who has pushed to a mirror.
func (p *pushers) tell(mirror string, pushes []forge.Push) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told == nil {
		p.told = map[pushedRef]string{}
	}
	for _, push := range pushes {
		at := refOf(mirror, push.Ref, push.After)
		if push.Actor == "" || push.Deleted {
			continue
		}
		if _, known := p.told[at]; !known {
			p.order = append(p.order, at)
		}
		p.told[at] = push.Actor
	}
	for len(p.order) > mostPushers {
		delete(p.told, p.order[0])
		p.order = p.order[1:]
	}
}

// of is the forge's id of the account that has moved a ref of a mirror to a
// commit, "" when nothing was told of it.
func (p *pushers) of(mirror, ref, commit string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[refOf(mirror, ref, commit)]
}
