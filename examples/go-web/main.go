// Command web is a small HTTP service that greets its visitors and counts them
// in PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// commit is set when the binary is linked: see buildspec.yml.
var commit = "dev"

const (
	// linger is how long new visitors are served, after SIGTERM, all the same:
	// not everybody may know yet that they should go elsewhere.
	linger = 2 * time.Second
	// leave is how long visitors may then take to leave, before the connections
	// that they keep are closed.
	leave = 3 * time.Second
	// finish is how long requests in flight may then take.
	finish = 20 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if os.Getenv("MODE") == "naive" {
		log.Warn("MODE=naive: SIGTERM ends this pod at once, whoever is waiting for an answer")
		context.AfterFunc(ctx, func() { os.Exit(0) })
	}
	if err := run(ctx, log, ":8080", os.Getenv("DATABASE_URL")); err != nil {
		log.Error("web ends", "error", err)
		os.Exit(1)
	}
}

// run serves on addr until ctx ends, then lets the visitors finish.
func run(ctx context.Context, log *slog.Logger, addr, databaseURL string) error {
	visits, err := openVisits(ctx, log, databaseURL)
	if err != nil {
		return err
	}
	defer visits.Close()
	pod, err := os.Hostname() // in Kubernetes, the pod's name
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Info("serving", "address", l.Addr().String(), "commit", commit, "visits", visits.String())
	site := &site{visits: visits, pod: pod, log: log}
	server := &http.Server{Handler: site.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnState: site.follow}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("asked to end: letting visitors finish")
	site.ending.Store(true)
	time.Sleep(linger)
	// To shut down closes idle connections, and a request that is on its way on
	// one of them would be lost.
	for end := time.Now().Add(leave); site.open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("some requests took too long to finish: %w", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	log.Info("all visitors have been served")
	return nil
}
