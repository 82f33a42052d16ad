package localkube

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	hostForm = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?$`)
	// A header's value: printable ASCII, so it can break out of neither the
	// header nor the file.
	headerForm = regexp.MustCompile(`^[ -~]*$`)
)

// TrustRegistry lets all nodes, present and future, pull images named
// HOST/... from the registry at that URL, such as http://10.78.0.1:7777, and
// send it that Authorization header ("" is none). It works while the cluster
// runs, and again replaces what was said before of the same host.
func (c *Cluster) TrustRegistry(ctx context.Context, host, address, authorization string) error {
	if !hostForm.MatchString(host) {
		return fmt.Errorf("trust registry: %q is not a host name with an optional port", host)
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return fmt.Errorf("trust registry %s: %q is not an http or https URL without a password", host, address)
	}
	if !headerForm.MatchString(authorization) {
		return fmt.Errorf("trust registry %s: the authorization is not a header's value", host)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := c.readState(); err != nil {
		return fmt.Errorf("trust registry %s: %w", host, err)
	}
	// containerd looks for HOST_PORT_ first; a colon is not for file names.
	dir := host
	if name, port, ok := strings.Cut(host, ":"); ok {
		dir = name + "_" + port + "_"
	}
	dir = filepath.Join(c.paths.certsD(), dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "hosts.toml"), []byte(hostsFile(u.String(), authorization)))
}

// hostsFile is the text of containerd's hosts.toml. Go's quoting of printable
// ASCII is TOML's.
func hostsFile(address, authorization string) string {
	text := fmt.Sprintf("server = %[1]q\n\n[host.%[1]q]\n  capabilities = [\"pull\", \"resolve\"]\n", address)
	if authorization != "" {
		text += fmt.Sprintf("  [host.%q.header]\n    authorization = %q\n", address, authorization)
	}
	return text
}
