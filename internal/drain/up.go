package drain

import (
	"bytes"
	"time"
)

// pumpUp passes on what the client sends until it sends no more.
func (r *relay) pumpUp() {
	w := newWindow()
	err := r.requests(w)
	if r.isShut() {
		r.discard()
	}
	r.hangUp(err)
}

func (r *relay) isShut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shut
}

// requests passes on one request after another. It returns the error that
// ended the client's side, or the application's.
func (r *relay) requests(w *window) error {
	for {
		data := w.bytes()
		switch k := r.known(); {
		case k == opaque || k == upgraded:
			return r.raw(r.app, r.client, w, true)
		case len(data) == 0:
		case k == unknown && mayBePreface(data):
			if len(data) >= len(preface) {
				r.setKind(http2)
				return r.upHTTP2(w)
			}
		case bytes.HasPrefix(data, []byte("\r\n")):
			// Some clients send an empty line behind a body.
			if _, err := r.app.Write(data[:2]); err != nil {
				return err
			}
			w.advance(2)
			continue
		case !mayBeRequest(data):
			r.setKind(opaque)
			continue
		case headEnd(data) > 0:
			if err := r.request(w); err != nil {
				return err
			}
			continue
		case len(data) >= maxHead:
			r.setKind(opaque)
			continue
		}
		if len(data) == 0 && !r.next() {
			return nil
		}
		if err := w.fill(r.client); err != nil {
			return err
		}
		r.touch(true)
	}
}

func (r *relay) known() kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kind
}

// next waits until the client sends something. From then on the connection is
// not idle. It returns false when the client has been sent the end before.
func (r *relay) next() bool {
	r.mu.Lock()
	r.midRequest = false
	r.mu.Unlock()
	await(r.client)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.midRequest = true
	return !r.shut
}

// request passes on the request whose head is in the window.
func (r *relay) request(w *window) error {
	raw := w.bytes()[:headEnd(w.bytes())]
	h, ok := parseRequest(raw)
	if !ok {
		r.setKind(opaque)
		return nil
	}
	e := &exchange{method: h.method, answered: make(chan struct{})}
	r.mu.Lock()
	r.kind = http1
	r.pending = append(r.pending, e)
	r.mu.Unlock()
	out := h.withForwarded(r.address)
	w.advance(len(raw))
	ok, err := passBody(r.app, r.client, w, out, bodyOfRequest(h))
	if err != nil {
		return err
	}
	if !ok {
		r.setKind(opaque)
	}
	if h.upgrade || h.method == "CONNECT" {
		// What follows may be of another protocol.
		select {
		case <-e.answered:
		case <-r.ended:
		}
	}
	return nil
}

// discard reads what the client still sends after the end of the answers,
// until it closes the connection or its time is over.
func (r *relay) discard() {
	var one [512]byte
	for {
		n, err := r.client.Read(one[:])
		if n > 0 {
			r.late()
		}
		if err != nil {
			return
		}
	}
}

// upHTTP2 passes on the preface and then frames.
func (r *relay) upHTTP2(w *window) error {
	if _, err := r.app.Write(w.bytes()[:len(preface)]); err != nil {
		return err
	}
	w.advance(len(preface))
	var up frames
	for {
		data := w.bytes()
		for n := 0; n < len(data); {
			n += up.scan(data[n:], func(f frame) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.streams.note(f, clientSide)
			})
		}
		r.mu.Lock()
		r.midRequest = up.have > 0 || up.left > 0 || up.block
		r.last = time.Now()
		r.mu.Unlock()
		if _, err := r.app.Write(data); err != nil {
			return err
		}
		w.advance(len(data))
		if err := w.fill(r.client); err != nil {
			return err
		}
	}
}
