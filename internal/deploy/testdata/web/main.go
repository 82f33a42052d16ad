// web is the application that the tests deploy. MODE says how it behaves:
//
//	          (nothing) when it is told to end, answers what is in flight
//	graceful  besides asks its clients to close their connections, for a second and
//	          until they have
//	naive     exits at once when it is told to end
//	crash     says why and exits with 1 at once
//	done      exits with 0 at once
//	unready   runs, but its readiness probe never succeeds
//	broken    runs and is ready, but answers every request with 500
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// linger is how long new clients are served all the same: a node may be late.
	linger = time.Second
	// leave is how long a client may keep a connection that it uses no more.
	leave = 5 * time.Second
)

func main() {
	mode := os.Getenv("MODE")
	fmt.Println("web", os.Getenv("VERSION"), "starts in mode", mode)
	if mode == "crash" {
		fmt.Println("boom: no database")
		os.Exit(1)
	}
	if mode == "done" {
		return
	}
	work, _ := time.ParseDuration(os.Getenv("WORK"))
	start, _ := time.ParseDuration(os.Getenv("STARTUP"))
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if mode == "unready" {
			http.Error(w, "still warming up", http.StatusServiceUnavailable)
		}
	})
	var ending atomic.Bool
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		time.Sleep(work)
		if mode == "broken" {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, os.Getenv("VERSION"))
	})
	var open atomic.Int64 // connections
	server := &http.Server{Addr: ":8080", Handler: mux, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}}
	ended := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		if mode == "naive" {
			os.Exit(0)
		}
		if mode == "graceful" {
			// Shutdown closes idle connections at once, and a request that is on
			// its way on one of them would be lost.
			ending.Store(true)
			time.Sleep(linger)
			for end := time.Now().Add(leave - linger); open.Load() > 0 && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		close(ended)
	}()
	time.Sleep(start)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Println(err)
		os.Exit(1)
	}
	<-ended
}
