package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/rounds"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

const (
	// sourceMirrorsEvery is how often it is looked for pipelines whose source is
	// a URL that has no mirror.
	sourceMirrorsEvery    = 15 * time.Second
	sourceMirrorsParallel = 2
	// sourceMirrorPause is how long a URL rests that could not be mirrored.
	sourceMirrorPause = 5 * time.Minute
)

// sourceMirrors makes mirrors for the pipelines that name their source by its
// URL. A URL that wants credentials gets none: somebody has to add its mirror.
type sourceMirrors struct {
	mirrors *mirrors
	rounds  *rounds.Rounds
	logger  *slog.Logger

	mu    sync.Mutex
	tried map[string]triedMirror // by URL, those that failed
}

type triedMirror struct {
	err  error
	next time.Time
}

func newSourceMirrors(mirrors *mirrors, logger *slog.Logger) *sourceMirrors {
	s := &sourceMirrors{mirrors: mirrors, logger: logger, tried: map[string]triedMirror{}}
	s.rounds = rounds.New(rounds.Config{
		What: "mirror the sources of pipelines", Every: sourceMirrorsEvery, Parallel: sourceMirrorsParallel, Logger: logger, Due: s.due, Do: s.make,
	})
	return s
}

// due lists the URLs that pipelines name and that have no mirror yet.
func (s *sourceMirrors) due(ctx context.Context) ([]string, error) {
	definitions, err := s.mirrors.store.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, d := range definitions {
		for _, action := range sourcesOf(d.Pipeline) {
			if url := sourceURL(action); url != "" {
				wanted[url] = true
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	all, err := s.mirrors.store.Mirrors(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(wanted, func(url string, _ bool) bool {
		there := slices.ContainsFunc(all, func(m store.Mirror) bool { return m.Name == source.MirrorName(url) })
		return there || s.mirrors.now().Before(s.tried[url].next)
	})
	return slices.Sorted(maps.Keys(wanted)), nil
}

// make makes the mirror of a URL.
func (s *sourceMirrors) make(ctx context.Context, url string) {
	name := source.MirrorName(url)
	_, err := s.mirrors.add(ctx, client.MirrorRequest{Name: name, URL: url}, true)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.tried, url); err != nil {
		s.tried[url] = triedMirror{err: err, next: s.mirrors.now().Add(sourceMirrorPause)}
		s.logger.Warn("mirror the source of a pipeline", "url", url, "error", err, "after", sourceMirrorPause, "hint", addMirrorHint(name, url))
		return
	}
	s.logger.Info("the source of a pipeline is mirrored", "url", url, "repository", name)
}

// ready tells, as a *source.Error, why a repository that a pipeline names by its
// URL is not there yet.
func (s *sourceMirrors) ready(p pipeline.Pipeline, repository string) error {
	if s.mirrors.repositories.Exists(repository) {
		return nil
	}
	for _, action := range sourcesOf(p) {
		url := sourceURL(action)
		if url == "" || source.MirrorName(url) != repository {
			continue
		}
		s.mu.Lock()
		tried := s.tried[url]
		s.mu.Unlock()
		s.rounds.Wake()
		why := "it is being fetched for the first time"
		if tried.err != nil {
			why = tried.err.Error()
		}
		return &source.Error{Kind: source.ErrNoRepository, Message: fmt.Sprintf("the source %s is not there yet: %s", url, why), Hint: addMirrorHint(repository, url)}
	}
	return nil
}

// addMirrorHint is how people give the credentials of a source.
func addMirrorHint(name, url string) string {
	files := "--password-file FILE"
	if strings.HasPrefix(url, "ssh://") || !strings.Contains(url, "://") {
		files = "--key-file FILE --known-hosts-file FILE"
	}
	return fmt.Sprintf("if it wants credentials, give them with: towline mirror add %s %s %s", name, url, files)
}

// sourceURL is the URL by which a source action names its repository, or "".
func sourceURL(action pipeline.Action) string {
	var c pipeline.Source
	if action.Type.Provider != "Git" || json.Unmarshal(action.Configuration, &c) != nil {
		return ""
	}
	return c.URL
}
