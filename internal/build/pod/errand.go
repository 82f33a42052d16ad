package pod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/build/pod/runner"
)

// keepsCache tells whether the build has a cache, and this server keeps any.
func (r *run) keepsCache() bool { return r.build.Cache != nil && r.config.Caches.Dir != "" }

// keepCache does what the build wants of its cache, in the background and on a
// connection of its own, until done is called.
func (r *run) keepCache(ctx context.Context) (done func()) {
	if !r.keepsCache() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l := r.link()
		defer l.close()
		r.doErrands(ctx, l)
	}()
	return func() {
		cancel()
		<-ended
		if err := r.config.Caches.Trim(); err != nil {
			r.config.Log.WarnContext(ctx, "remove old caches of builds", "error", err)
		}
	}
}

// doErrands does one errand of the build after another. What goes wrong is the
// build's to say in its log: it waits for a while, and goes on without a cache.
func (r *run) doErrands(ctx context.Context, l *link) {
	for ctx.Err() == nil {
		errand, err := l.errand(ctx)
		if err == nil && errand.Kind == runner.ErrandNone {
			return
		}
		if err == nil && errand.Kind != "" {
			err = l.done(ctx, errand, r.doErrand(ctx, l, errand))
		}
		if err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

// doErrand does one errand. Only archives of the build's own pipeline can be
// reached, whatever a Pod asks for.
func (r *run) doErrand(ctx context.Context, l *link, errand runner.Errand) runner.Done {
	archives, err := r.config.Caches.Of(r.build.Pipeline)
	if err != nil {
		return runner.Done{Fault: err.Error()}
	}
	number := "/archive?number=" + strconv.Itoa(errand.Number)
	switch errand.Kind {
	case runner.ErrandFind:
		entry, archive, err := archives.Find(ctx, errand.Entry.Key, errand.Fallback)
		if errors.Is(err, cache.ErrNone) {
			return runner.Done{}
		}
		if err == nil {
			err = l.send(ctx, number, func(w io.Writer) error {
				_, err := io.Copy(w, archive)
				return err
			})
			err = errors.Join(err, archive.Close())
		}
		if err == nil {
			return runner.Done{Entry: &entry}
		}
		return runner.Done{Fault: err.Error()}
	case runner.ErrandPut:
		err = archives.Put(ctx, errand.Entry, func(w io.Writer) error {
			return l.receive(ctx, number, func(from io.Reader) error {
				_, err := io.Copy(w, from)
				return err
			})
		})
	case runner.ErrandDrop:
		err = archives.Drop(ctx, errand.Entry.Key)
	default:
		err = fmt.Errorf("this server knows no errand %q", errand.Kind)
	}
	if err != nil {
		return runner.Done{Fault: err.Error()}
	}
	return runner.Done{}
}

// errand asks for what the build wants, and waits for it.
func (l *link) errand(ctx context.Context) (e runner.Errand, err error) {
	text, _, err := l.read(ctx, http.MethodGet, "/errand", runner.LogWait+answerWithin)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("read the errand of pod %s: %w", l.pod, err)
	}
	return e, nil
}

// done tells what has become of an errand.
func (l *link) done(ctx context.Context, errand runner.Errand, done runner.Done) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	response, err := l.ask(ctx, http.MethodPost, "/done?number="+strconv.Itoa(errand.Number), bytes.NewReader(text))
	if err != nil {
		return err
	}
	return response.Body.Close()
}
