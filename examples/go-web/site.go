package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// greeting is what visitors read first. Change it and push.
const greeting = "Hello"

type site struct {
	visits visits
	pod    string
	log    *slog.Logger
	ending atomic.Bool  // SIGTERM has come
	open   atomic.Int64 // connections
}

// follow counts the connections as they come and go.
func (s *site) follow(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.greet)
	mux.HandleFunc("GET /visits", s.show)
	mux.HandleFunc("POST /visits", s.count)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if s.ending.Load() {
			// The client's next request goes out on a new connection, to a
			// pod that stays.
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *site) greet(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "%s from commit %.7s on %s\nvisits are counted %s\n", greeting, commit, s.pod, s.visits)
}

func (s *site) show(w http.ResponseWriter, r *http.Request) {
	n, err := s.visits.Total(r.Context())
	s.number(w, n, err)
}

func (s *site) count(w http.ResponseWriter, r *http.Request) {
	n, err := s.visits.Add(r.Context(), s.pod)
	s.number(w, n, err)
}

func (s *site) number(w http.ResponseWriter, n int, err error) {
	if err != nil {
		s.log.Error("visits", "error", err)
		http.Error(w, "visits cannot be counted now", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, n)
}

// ready says whether this pod can serve. A pod that is asked to end keeps
// serving whoever still comes, but says that it wants no more.
func (s *site) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	err := s.visits.Ping(ctx)
	switch {
	case s.ending.Load():
		http.Error(w, "ending", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "no database", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}
