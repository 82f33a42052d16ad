package deploy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Unpacker writes the files of an artifact into a directory.
type Unpacker interface {
	Unpack(ctx context.Context, digest, dir string) error
}

// Action carries out Deploy/Kubernetes: the manifests of the source artifact,
// deployed to a cluster of the server's kubeconfig. The same job given twice
// finds its revision in the cluster's journal by the job's key and goes on.
type Action struct {
	Artifacts Unpacker
	// Connect returns the cluster of a kubeconfig context; empty means the
	// current one.
	Connect func(kubeContext string) (*kube.Cluster, error)
	// Config is what the Deployer is made with; its Cluster is filled in.
	Config Config
	// Ancestry compares two commits of a repository; see Ancestry. It may be
	// nil.
	Ancestry func(ctx context.Context, repository, older, newer string) (known, ancestor bool, err error)
}

// Run deploys.
func (a *Action) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	settings, err := decodeSettings(job.Configuration)
	if err != nil {
		return pipeline.Result{}, err
	}
	if len(job.Inputs) == 0 {
		return pipeline.Result{}, fmt.Errorf("deploy: the action %s has no input artifact to take the manifests from", job.Action.Name)
	}
	root := filepath.Join(job.Dir, "source")
	if err := a.unpack(ctx, job.Inputs[0].Digest, root); err != nil {
		return pipeline.Result{}, err
	}
	cluster, err := a.Connect(settings.Cluster)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("deploy: %w", err)
	}
	config := a.Config
	config.Cluster = cluster
	settings.App = cmp.Or(settings.App, job.Pipeline)
	deployment, err := New(config).Deploy(ctx, Request{
		Deploy: settings, Key: job.Key(), Root: root, Commit: job.Revision.Commit, Execution: job.Execution,
		Ancestry: a.ancestry(job.Revision.Repository), Log: job.Log, Progress: job.Progress,
	})
	if err != nil {
		return pipeline.Result{}, err
	}
	return resultOf(deployment), nil
}

func decodeSettings(configuration json.RawMessage) (pipeline.Deploy, error) {
	var settings pipeline.Deploy
	decoder := json.NewDecoder(bytes.NewReader(configuration))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil {
		return settings, fmt.Errorf("decode the configuration of the deploy action: %w", err)
	}
	return settings, nil
}

// ancestry compares commits of one repository.
func (a *Action) ancestry(repository string) Ancestry {
	if a.Ancestry == nil {
		return nil
	}
	return func(ctx context.Context, older, newer string) (known, ancestor bool, err error) {
		return a.Ancestry(ctx, repository, older, newer)
	}
}

// unpack starts afresh: a process that was killed may have left half of it.
func (a *Action) unpack(ctx context.Context, digest, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("deploy: clear the source directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("deploy: make the source directory: %w", err)
	}
	if err := a.Artifacts.Unpack(ctx, digest, dir); err != nil {
		return fmt.Errorf("deploy: unpack the source: %w", err)
	}
	return nil
}

func resultOf(d pipeline.Deployment) pipeline.Result {
	result := pipeline.Result{Outcome: d.Outcome, Message: d.Message, Deployment: &d}
	result.Summary = fmt.Sprintf("%s · revision %d", d.Strategy, d.Revision)
	switch {
	case d.Reverted:
		result.Summary += fmt.Sprintf(" failed, reverted to %d", d.Previous)
	case d.Outcome == pipeline.Failed:
		result.Summary = d.Strategy + " · failed"
	case d.Verdict != nil:
		result.Summary += fmt.Sprintf(" · %d of %d lost", d.Verdict.Lost, d.Verdict.Requests)
		if d.Verdict.NotSent > 0 {
			result.Summary += fmt.Sprintf(", %d not sent", d.Verdict.NotSent)
		}
		if d.Verdict.Partial != "" {
			result.Summary += ", but see the verdict"
		}
	}
	if d.Outcome == pipeline.Succeeded {
		result.Variables = map[string]string{"Revision": strconv.Itoa(d.Revision), "Namespace": d.Namespace, "URL": d.URL}
	}
	return result
}
