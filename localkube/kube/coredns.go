package main

import (
	"fmt"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver" // registers the "dns" server type
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
)

// runCoreDNS serves the Corefile named by args until it is told to stop. It
// starts CoreDNS through caddy instead of coremain, because coremain registers
// flags like -p and -version on the process-wide flag set, which the
// Kubernetes components in this binary share. Only the plugins that a cluster
// needs are linked.
func runCoreDNS(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: kubebox coredns COREFILE")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	caddy.AppName, caddy.Quiet = "CoreDNS", true
	caddy.TrapSignals()
	instance, err := caddy.Start(caddy.CaddyfileInput{Filepath: args[0], Contents: text, ServerTypeName: "dns"})
	if err != nil {
		return err
	}
	instance.Wait()
	return nil
}
