package drain

import (
	"bytes"
	"io"
	"time"
)

// pumpDown passes on what the application answers until it sends no more, or
// until the client has been told to go elsewhere and has its answer.
func (r *relay) pumpDown() {
	w := newWindow()
	err := r.responses(w)
	if gone(err) {
		reset(r.client)
		return
	}
	r.finish(lingerTime)
}

// responses passes on one response after another.
func (r *relay) responses(w *window) error {
	for {
		if len(w.bytes()) == 0 {
			if err := w.fill(r.app); err != nil {
				return err
			}
		}
		k, e := r.asked()
		switch {
		case k == http2:
			return r.downHTTP2(w)
		case k == opaque || k == upgraded:
			return r.raw(r.client, r.app, w, false)
		case e == nil:
			// It speaks without being asked.
			r.setKind(opaque)
			continue
		}
		more, err := r.response(w, e)
		if err != nil || !more {
			return err
		}
	}
}

// asked is what is known of the protocol, and the request that is to be
// answered next, if any.
func (r *relay) asked() (kind, *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return r.kind, nil
	}
	return r.kind, r.pending[0]
}

// response passes on one response, or an interim one. No more come when it
// returns false.
func (r *relay) response(w *window, e *exchange) (more bool, err error) {
	data := w.bytes()
	end := headEnd(data)
	const begin = "HTTP/1."
	if !bytes.HasPrefix(data, []byte(begin[:min(len(data), len(begin))])) || end == 0 && len(data) >= maxHead {
		r.setKind(opaque)
		return true, nil
	}
	if end == 0 {
		return true, w.fill(r.app)
	}
	h, ok := parseResponse(data[:end])
	if !ok {
		r.setKind(opaque)
		return true, nil
	}
	switch {
	case h.status == 101, e.method == "CONNECT" && h.status/100 == 2:
		r.setKind(upgraded)
		r.answered(e)
		return true, nil
	case h.status < 200:
		_, err := r.client.Write(h.raw)
		w.advance(end)
		return true, err
	}
	return r.final(w, e, h)
}

// final passes on the answer to a request. In a drain it tells the client to
// go elsewhere, unless answers to further requests follow it.
func (r *relay) final(w *window, e *exchange, h head) (more bool, err error) {
	out := h.raw
	r.mu.Lock()
	tell := r.drain.draining() && len(r.pending) == 1 && h.persists()
	if tell {
		r.told = true
		out = h.withClose()
	}
	r.mu.Unlock()
	if tell {
		r.drain.told.Add(1)
	}
	w.advance(len(h.raw))
	ok, err := passBody(r.client, r.app, w, out, bodyOfResponse(h, e.method))
	if !ok {
		r.setKind(opaque)
	}
	if err != nil {
		return false, err
	}
	r.touch(false)
	if tell {
		// The request may not have come to its end, when it was refused early:
		// what is left of it is given the time of a long request.
		r.finish(r.Longest)
	}
	r.answered(e)
	return !tell, nil
}

// answered takes an exchange off the list.
func (r *relay) answered(e *exchange) {
	r.mu.Lock()
	r.pending = r.pending[1:]
	r.mu.Unlock()
	close(e.answered)
}

// downHTTP2 passes on frames, and a GOAWAY between them when it is time.
func (r *relay) downHTTP2(w *window) error {
	for {
		if err := r.passFrames(w.bytes()); err != nil {
			return err
		}
		w.advance(len(w.bytes()))
		if err := w.fill(r.app); err != nil {
			return err
		}
	}
}

func (r *relay) passFrames(data []byte) error {
	r.out.Lock()
	defer r.out.Unlock()
	for len(data) > 0 {
		n := r.scanDown(data)
		if _, err := r.client.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
		if r.drain.draining() {
			r.goAway()
		}
	}
	return nil
}

// scanDown follows the application's frames: all of them, or in a drain up to
// the first end of one, where a GOAWAY may stand.
func (r *relay) scanDown(data []byte) (n int) {
	for n < len(data) {
		n += r.down.scan(data[n:], func(f frame) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.streams.note(f, appSide)
		})
		if r.drain.draining() && r.down.boundary() {
			break
		}
	}
	return n
}

// goAway asks the client to begin no more streams, once and where a frame may
// stand. The caller holds out. The frame names the highest stream there can
// be, so that no request that is on its way is refused. A connection on which
// no stream has begun yet is left alone: some clients give up the request for
// which they have just opened it.
func (r *relay) goAway() {
	r.mu.Lock()
	tell := !r.told && !r.shut && !r.streams.goAway && r.streams.last > 0 && r.down.boundary()
	r.told = r.told || tell
	r.mu.Unlock()
	if tell {
		r.drain.told.Add(1)
		_, _ = io.Writer(r.client).Write(goAway(maxStream))
	}
}

// closeHTTP2 closes a connection without open streams whose client has been
// told, or has had none for long. The caller holds mu.
func (r *relay) closeHTTP2(quiet time.Duration) (wait bool) {
	known := r.told || r.streams.goAway
	if len(r.streams.open) > 0 || r.midRequest || readable(r.client) || !known && time.Since(r.last) < quiet {
		return true
	}
	// Whoever writes to the client now is the application.
	if !r.out.TryLock() {
		return true
	}
	defer r.out.Unlock()
	if !r.down.boundary() {
		return true
	}
	if !r.streams.goAway {
		_, _ = r.client.Write(goAway(r.streams.last))
	}
	r.drain.idle.Add(1)
	r.finishLocked(lingerTime)
	return false
}
