// pod is the application, and the draining proxy, of the rehearsal's tests.
// MODE says how the application behaves when it is told to end:
//
//	graceful  asks its clients to close their connections for a second, and
//	          answers what is in flight
//	naive     exits at once
//	deaf      goes on as if nothing were, until it is killed
//	abrupt    answers what it is working on, but closes connections without
//	          having told anybody
//
// WORK is how long it works on one request, default 5 ms.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/towline/towline/internal/drain"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		if err := agent(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	serve(os.Getenv("MODE"))
}

// agent stands for `towline agent drain`, whose flags it reads.
func agent(args []string) error {
	config := drain.Config{Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	begin := false
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "begin":
			begin = true
		case "--admin":
			if _, err := fmt.Sscan(value, &config.Admin); err != nil {
				return err
			}
		case "--detach":
			config.Detach, _ = time.ParseDuration(value)
		case "--longest":
			config.Longest, _ = time.ParseDuration(value)
		default:
			pair, err := drain.ParsePair(arg)
			if err != nil {
				return err
			}
			config.Pairs = append(config.Pairs, pair)
		}
	}
	if begin {
		return drain.Begin(context.Background(), config.Admin)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return drain.Serve(ctx, config)
}

func serve(mode string) {
	work, err := time.ParseDuration(os.Getenv("WORK"))
	if err != nil {
		work = 5 * time.Millisecond
	}
	var ending atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		time.Sleep(work)
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: time.Minute}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-signals
		switch mode {
		case "naive":
			os.Exit(0)
		case "deaf":
			select {}
		case "graceful":
			ending.Store(true)
			time.Sleep(time.Second)
		}
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Println(err)
		os.Exit(1)
	}
	<-ended
}
