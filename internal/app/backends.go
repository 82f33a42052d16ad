package app

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/service"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// hostBackend runs builds on this machine, in processes of this program that
// outlive the server.
func (a *App) hostBackend() (*host.Backend, error) {
	settings := a.options.Server
	config := host.Config{
		Runner:    []string{a.options.Executable, "build-runner"},
		CacheDir:  filepath.Join(settings.Data, "cache"),
		Users:     settings.BuildUsers,
		Processes: settings.BuildProcesses,
		Log:       a.options.Logger,
	}
	for _, size := range []struct {
		flag, text string
		of         *int64
	}{{"memory", settings.BuildMemory, &config.Memory}, {"disk", settings.BuildDisk, &config.Disk}, {"spare", settings.BuildSpare, &config.Spare}} {
		if size.text == "" {
			continue
		}
		var err error
		if *size.of, err = pipeline.ParseSize(size.text); err != nil {
			return nil, fmt.Errorf("--build-%s: %w", size.flag, err)
		}
	}
	return host.New(config)
}

// builds is what carries out the builds of a project, "" for those of pipelines
// themselves.
func (a *App) builds(of string) build.Action {
	var here build.Backend = a.host
	if of == "" { // Those of projects have waited for their turn before.
		here = turns{a.host, a.builder.Queue}
	}
	return build.Action{
		Backend:   build.Backends{pipeline.ComputeHost: here, pipeline.ComputePod: a.pods},
		Artifacts: a.artifacts, Reports: a.store, Databases: service.Servers{},
		Secrets: a.secrets, Git: a.mirrors, Kubeconfigs: kubeconfigs{a.clusters},
		Account: build.Account{ID: awsAccount}, Project: of,
	}
}

// cluster connects to a stored cluster, else to that of a context of the
// server's kubeconfig.
func (a *App) cluster(name string) (*kube.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return a.clusters.Connect(ctx, name)
}
