// Netcheck tries the network from inside a pod. Its arguments are tried in
// turn: listen:ADDRESS serves for ever, dial:ADDRESS connects and reads a
// greeting, resolve:NAME=ADDRESS looks a name up. Each has 60 s to succeed.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	for _, arg := range os.Args[1:] {
		what, rest, _ := strings.Cut(arg, ":")
		if what == "listen" {
			listen(rest)
			continue
		}
		if err := try(what, rest); err != nil {
			fmt.Println(arg, err)
			os.Exit(1)
		}
		fmt.Println(arg, "ok")
	}
}

func listen(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		_, _ = conn.Write([]byte("hello\n"))
		_ = conn.Close()
	}
}

func try(what, rest string) error {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if what == "dial" {
			err = dial(rest)
		} else {
			err = resolve(ctx, rest)
		}
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

func dial(address string) error {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err == nil && string(text) != "hello\n" {
		err = fmt.Errorf("%s said %q", address, text)
	}
	return err
}

func resolve(ctx context.Context, query string) error {
	name, want, _ := strings.Cut(query, "=")
	found, err := (&net.Resolver{PreferGo: true}).LookupHost(ctx, name)
	if err == nil && !slices.Contains(found, want) {
		err = fmt.Errorf("%s is %v, want %s", name, found, want)
	}
	return err
}
