//go:build linux

package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/towline/towline/internal/build/cache"
)

// errandWithin is how long a build waits for its server to do an errand, while
// nothing of it comes or goes.
const errandWithin = 2 * time.Minute

// errands are cache.Archives that the server keeps: what is asked of them is
// waited for until the server has asked for errands, and done it. The archives
// pass through files of the Pod.
type errands struct {
	file string // begins the names of the archives that come or go

	mu      sync.Mutex
	number  int
	present *errand // nil for none
}

var _ cache.Archives = (*errands)(nil)

// errand is one that is not done yet.
type errand struct {
	Errand
	touched chan struct{} // gets a value when something comes or goes
	done    chan Done     // has room for one
}

// ended is an errand that was done.
type ended struct {
	Done
	number int
}

// do has the server do an errand.
func (e *errands) do(ctx context.Context, what Errand) (ended, error) {
	e.mu.Lock()
	e.number++
	what.Number = e.number
	one := &errand{Errand: what, touched: make(chan struct{}, 1), done: make(chan Done, 1)}
	e.present = one
	e.mu.Unlock()
	defer e.drop(one)
	idle := time.NewTimer(errandWithin)
	defer idle.Stop()
	for {
		select {
		case done := <-one.done:
			if done.Fault != "" {
				return ended{}, errors.New(done.Fault)
			}
			return ended{done, what.Number}, nil
		case <-one.touched:
			idle.Reset(errandWithin)
		case <-idle.C:
			return ended{}, fmt.Errorf("the server has not answered for %v", errandWithin)
		case <-ctx.Done():
			return ended{}, context.Cause(ctx)
		}
	}
}

// Find implements cache.Archives.
func (e *errands) Find(ctx context.Context, key string, fallback []string) (cache.Entry, io.ReadCloser, error) {
	done, err := e.do(ctx, Errand{Kind: ErrandFind, Entry: cache.Entry{Key: key}, Fallback: fallback})
	if err != nil {
		return cache.Entry{}, nil, err
	}
	if done.Entry == nil {
		return cache.Entry{}, nil, cache.ErrNone
	}
	f, err := os.Open(e.came(done.number))
	if err != nil {
		return cache.Entry{}, nil, fmt.Errorf("open the archive: %w", err)
	}
	// Gone with the last who has it open.
	return *done.Entry, f, os.Remove(f.Name())
}

// came is the file of the archive that an errand was after. Each has its own:
// one that was given up may still be coming.
func (e *errands) came(number int) string { return fmt.Sprintf("%s.%d", e.file, number) }

// Put implements cache.Archives.
func (e *errands) Put(ctx context.Context, entry cache.Entry, write func(io.Writer) error) error {
	f, err := os.OpenFile(e.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	defer func() { _ = os.Remove(e.file) }()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	_, err = e.do(ctx, Errand{Kind: ErrandPut, Entry: entry})
	return err
}

// Drop implements cache.Archives.
func (e *errands) Drop(ctx context.Context, key string) error {
	_, err := e.do(ctx, Errand{Kind: ErrandDrop, Entry: cache.Entry{Key: key}})
	return err
}

// next is the errand that is to be done, nil for none.
func (e *errands) next() *errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.present
}

// drop forgets an errand that is done or given up.
func (e *errands) drop(one *errand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.present == one {
		e.present = nil
	}
}

// of is the present errand, if the request is about it.
func (e *errands) of(q *http.Request) (*errand, error) {
	one := e.next()
	if one == nil || strconv.Itoa(one.Number) != q.URL.Query().Get("number") {
		return nil, errors.New("this errand is done already, or was given up")
	}
	return one, nil
}

func (o *errand) touch() {
	select {
	case o.touched <- struct{}{}:
	default:
	}
}

// serveErrand answers with the errand that is to be done: as soon as there is
// one, and with none after LogWait or when the build has ended.
func (r *runner) serveErrand(w http.ResponseWriter, q *http.Request) error {
	over := time.After(LogWait)
	for {
		if one := r.errands.next(); one != nil {
			one.touch()
			return answer(w, one.Errand)
		}
		if r.isEnded() {
			return answer(w, Errand{Kind: ErrandNone})
		}
		select {
		case <-over:
			return answer(w, Errand{})
		case <-q.Context().Done():
			return nil
		default:
			r.pause()
		}
	}
}

// takeArchive takes the archive that the server has found.
func (r *runner) takeArchive(w http.ResponseWriter, q *http.Request) error {
	one, err := r.errands.of(q)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.errands.came(one.Number), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("take the archive: %w", err)
	}
	_, err = io.Copy(f, &touchingReader{&patientReader{from: q.Body, patience: http.NewResponseController(w)}, one})
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("take the archive: %w", err)
	}
	return answer(w, r.state())
}

// giveArchive gives out the archive that the build wants kept.
func (r *runner) giveArchive(w http.ResponseWriter, q *http.Request) error {
	one, err := r.errands.of(q)
	if err != nil {
		return err
	}
	f, err := os.Open(r.errands.file)
	if err != nil {
		return fmt.Errorf("give the archive: %w", err)
	}
	defer f.Close()
	patience := http.NewResponseController(w)
	defer func() { _ = patience.SetWriteDeadline(time.Time{}) }() // the connection is used on
	if _, err := io.Copy(&patientWriter{to: w, patience: patience}, &touchingReader{f, one}); err != nil {
		// The answer has begun: only a cut tells that it is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// endErrand takes what has become of an errand.
func (r *runner) endErrand(w http.ResponseWriter, q *http.Request) error {
	one, err := r.errands.of(q)
	if err != nil {
		return err
	}
	var done Done
	if err := json.NewDecoder(io.LimitReader(q.Body, 1<<20)).Decode(&done); err != nil {
		return fmt.Errorf("read what has become of the errand: %w", err)
	}
	// It is not to be done again, whenever the build goes on.
	r.errands.drop(one)
	select {
	case one.done <- done:
	default: // it was told before
	}
	return answer(w, r.state())
}

// touchingReader tells that an errand goes on.
type touchingReader struct {
	from io.Reader
	one  *errand
}

func (t *touchingReader) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.one.touch()
	return n, err
}
