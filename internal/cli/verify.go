package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/attest"
	"github.com/towline/towline/internal/client"
)

// verifyFlags are what an image is checked for.
type verifyFlags struct {
	key, source string
	insecure    bool
}

func (c *command) verifyCommand() *cobra.Command {
	var given verifyFlags
	cmd := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Check who built an image, out of which commit, and that nobody has changed it",
		Long: `Check who built an image, out of which commit, and that nobody has changed it: the
signature of its provenance, and that this is about the very digest. The keys are
the server's, or with --key those in a file, and then no server is needed.

The exit code is 3 when the image is not what is wanted.`,
		Example: `  towline verify web@sha256:9b1c0a...
  towline verify ghcr.io/acme/web:42 --key towline.pub --source https://github.com/acme/web`,
		Args: exactly("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.verify(cmd.Context(), args[0], given) },
	}
	flags := cmd.Flags()
	flags.StringVar(&given.key, "key", "", `file of public keys in PEM, "-" for standard input; default the server's`)
	flags.StringVar(&given.source, "source", "", "repository that the image must come from: its URL, or its name on the server")
	flags.BoolVar(&given.insecure, "insecure", false, "speak plain HTTP to the image's registry")
	return cmd
}

func (c *command) verify(ctx context.Context, image string, given verifyFlags) error {
	// The server is needed for its keys or its registry, and can be missed else.
	api, noServer := c.client()
	wanted := attest.Wanted{Source: given.source}
	var err error
	if wanted.Keys, err = c.verifyKeys(ctx, given.key, api, noServer); err != nil {
		return err
	}
	if wanted.Reference, wanted.Options, err = c.imageAt(image, given.insecure, api); err != nil {
		return err
	}
	found, err := attest.Verify(ctx, wanted)
	if refused, ok := errors.AsType[*attest.RefusedError](err); ok {
		return c.notVerified(refused)
	}
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(found)
	}
	return c.printVerified(found)
}

func (c *command) verifyKeys(ctx context.Context, path string, api *client.Client, noServer error) ([]attest.PublicKey, error) {
	var text []byte
	switch {
	case path == "-":
		var err error
		if text, err = io.ReadAll(io.LimitReader(c.In, maxSecretFile)); err != nil {
			return nil, fmt.Errorf("read the keys: %w", err)
		}
	case path != "":
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
	case noServer != nil:
		return nil, fmt.Errorf("%w; or give the keys with --key FILE", noServer)
	default:
		known, err := api.AttestKeys(ctx)
		if err != nil {
			return nil, err
		}
		for _, key := range known {
			text = append(text, key.PEM...)
		}
	}
	return attest.ParsePublicKeys(text)
}

// imageAt reads an image's name. One without a registry is in the server's, as
// in towline.yaml.
func (c *command) imageAt(image string, insecure bool, api *client.Client) (name.Reference, []remote.Option, error) {
	host, _, _ := strings.Cut(image, "/")
	named := strings.Contains(image, "/") && (strings.ContainsAny(host, ".:") || host == "localhost")
	own, plain := "", false
	if api != nil {
		if u, err := url.Parse(api.URL()); err == nil {
			own, plain = u.Host, u.Scheme == "http"
		}
	}
	if !named && own != "" {
		host, image = own, own+"/"+image
	}
	var options []name.Option
	if insecure || host == own && plain || loopback(host) {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(image, options...)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("%q is not the name of an image: %w", image, err)}
	}
	auth := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if host == own && own != "" {
		auth = remote.WithAuth(&authn.Basic{Username: "towline", Password: api.Token()})
	}
	return ref, []remote.Option{auth}, nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *command) notVerified(refused *attest.RefusedError) error {
	if c.output == "json" {
		if err := c.printJSON(map[string]any{"image": refused.Image, "verified": false, "reasons": refused.Reasons}); err != nil {
			return err
		}
		return exitCode(exitFailed)
	}
	fmt.Fprintf(c.Out, "not verified  %s\n", printable(refused.Image))
	for _, reason := range refused.Reasons {
		fmt.Fprintf(c.Out, "  %s\n", printable(reason))
	}
	return exitCode(exitFailed)
}

func (c *command) printVerified(found attest.Verified) error {
	p := found.Provenance.BuildDefinition
	rows := [][2]string{
		{"verified", found.Image},
		{"commit", found.Provenance.Commit()},
		{"source", p.ExternalParameters.Source + " " + refOf(p.ExternalParameters)},
		{"pipeline", p.ExternalParameters.Pipeline + ", execution " + p.InternalParameters.Execution},
		{"builder", found.Provenance.RunDetails.Builder.ID},
		{"built", found.Provenance.RunDetails.Metadata.FinishedOn.UTC().Format(time.RFC3339)},
		{"key", found.Key},
	}
	for _, m := range p.ResolvedDependencies {
		if m.Name != "source" {
			rows = append(rows, [2]string{"made of", m.Name + " " + m.URI})
		}
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(c.Out, "%-9s %s\n", row[0], printable(row[1])); err != nil {
			return err
		}
	}
	return nil
}

func refOf(p attest.Parameters) string {
	if p.Tag != "" {
		return "tag " + p.Tag
	}
	return "branch " + p.Branch
}
