package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/app"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/localkube"
)

func (c *command) serverCommand() *cobra.Command {
	settings := config.Default()
	var verbose bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the server: git, pipelines, artifacts and registry on one port",
		Long: `Run the server: git, pipelines, artifacts and registry on one port, with all
state in one data directory. The first start makes an admin token, which the
command line on this machine finds by itself. A local cluster that is up gets
access to the registry.

The server stops on an interrupt; what was running goes on at the next start.`,
		Example: `  towline server
  towline server --data /srv/towline --listen 10.0.0.5:8480
  towline server --kubeconfig ~/.kube/config --registry ghcr.io/acme`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings.Data = c.data
			return c.serve(cmd.Context(), settings, verbose)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&settings.URL, "url", settings.URL, "where forges and people reach the server, such as https://towline.example.com; default the first address")
	flags.StringArrayVar(&settings.Listen, "listen", settings.Listen, "address to serve on, HOST:PORT; may be repeated")
	flags.StringVar(&settings.Kubeconfig, "kubeconfig", "", "kubeconfig whose contexts are the clusters, default the usual one, else the local cluster's")
	flags.StringVar(&settings.Registry, "registry", "", "registry for images with a bare name, default the embedded one")
	flags.StringVar(&settings.Secrets, "secrets", "", "where builds' secrets are looked for that are not stored here: aws, with the server's AWS credentials; default nowhere")
	flags.StringArrayVar(&settings.BuildUsers, "build-user", nil, "user of this machine that the run-as of a buildspec may name, again for more: whoever may push can do what the user can; default none")
	flags.StringVar(&settings.BuildMemory, "build-memory", "", "memory that a build on this machine may use, such as 8Gi; default three quarters of the machine's")
	flags.StringVar(&settings.BuildDisk, "build-disk", "", "space that the files of a build on this machine and its pipeline's caches may take, such as 100Gi; default 64Gi")
	flags.IntVar(&settings.BuildProcesses, "build-processes", 0, "processes and threads that a build on this machine may have at once; default 4096")
	flags.StringVar(&settings.BuildSpare, "build-spare", "", "space that builds on this machine leave free on the disk, such as 10Gi: with less, the largest are ended; default 1Gi, or a twentieth of a small disk")
	flags.StringVar(&settings.BuildImage, "build-image", "", "image of builds with compute: pod that name none, with a shell and tools; default none")
	flags.StringVar(&settings.ServiceImages, "service-images", "", "where the images of databases beside such builds are, default docker.io/library/")
	flags.StringVar(&settings.DockerfileBuilder, "dockerfile-builder", settings.DockerfileBuilder, "what builds Dockerfiles: buildkit, docker or buildah of this machine, auto for the first that works, the address of a BuildKit such as tcp://10.0.0.7:1234, or none")
	flags.StringVar(&settings.DockerfileCache, "dockerfile-cache", settings.DockerfileCache, "space for what Dockerfile builds keep for later ones")
	flags.StringVar(&settings.BuildKitTLS, "buildkit-tls", "", "directory with ca.pem, cert.pem and key.pem for a BuildKit at a tcp address")
	flags.BoolVar(&settings.Components, "components", false, "show all parts of the dashboard at /ui/components")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log details")
	return cmd
}

func (c *command) serve(ctx context.Context, settings config.Server, verbose bool) error {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: level}))
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	settings.Kubeconfig = kubeconfig(settings.Kubeconfig)
	options := app.Options{Server: settings, Version: c.Version, Executable: exe, Logger: logger}
	if cluster, up := localCluster(ctx); up {
		options.Nodes = cluster
	}
	a, err := app.Open(ctx, options)
	if err != nil {
		return err
	}
	// The server's own life is longer than ctx: Stop ends it in order.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := a.Start(running); err != nil {
		cancel()
		return fmt.Errorf("start: %w", firstOf(err, a.Stop(ctx)))
	}
	logger.Info("serving", "url", a.URL(), "data", settings.Data, "version", c.Version)
	<-ctx.Done()
	logger.Info("stopping")
	cancel()
	return a.Stop(ctx)
}

func firstOf(err, later error) error {
	if later != nil {
		return fmt.Errorf("%w (and stopping: %w)", err, later)
	}
	return err
}

// kubeconfig is the file to use: the one given, the usual one when there is
// any (then ""), else the local cluster's.
func kubeconfig(given string) string {
	if given != "" || os.Getenv("KUBECONFIG") != "" {
		return given
	}
	if home, err := os.UserHomeDir(); err == nil {
		if _, err := os.Stat(filepath.Join(home, ".kube", "config")); err == nil {
			return ""
		}
	}
	cluster, err := localkube.New(localkube.Config{})
	if err != nil {
		return ""
	}
	if _, err := os.Stat(cluster.Kubeconfig()); err != nil {
		return ""
	}
	return cluster.Kubeconfig()
}

// localCluster returns the local cluster when it is up.
func localCluster(context.Context) (*localkube.Cluster, bool) {
	cluster, err := localkube.New(localkube.Config{})
	if err != nil {
		return nil, false
	}
	_, err = cluster.HostAddress()
	return cluster, err == nil
}
