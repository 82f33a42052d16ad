package lambda

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Parameters are the UserParameters of the action: the keys of a deploy
// section, and what a function needs to know beside them. Cluster is the name
// of a cluster of EKS, or a context of the kubeconfig that the function has.
type Parameters struct {
	pipeline.Deploy
	// Config is a file in the artifact with more keys of a deploy section, for
	// CodePipeline keeps 1000 characters of parameters. Those here win.
	Config string `json:"config,omitempty"`
	// Artifact is the input artifact with the manifests, default the only one.
	Artifact string `json:"artifact,omitempty"`
	// Commit is that of the source, such as #{SourceVariables.CommitId}.
	Commit string `json:"commit,omitempty"`
	Region string `json:"region,omitempty"` // of the EKS cluster, default the function's own
	Role   string `json:"role,omitempty"`   // ARN to take on for the EKS cluster

	text string
}

// parameterError is an error of the action's configuration.
type parameterError struct{ error }

func (e *parameterError) Unwrap() error { return e.error }

// ParseParameters reads the UserParameters of an action.
func ParseParameters(text string) (Parameters, error) {
	p := Parameters{text: text}
	if strings.TrimSpace(text) == "" {
		return p, errors.New(`the action has no UserParameters: give at least {"app": "NAME"}`)
	}
	if err := overlay(text, &p); err != nil {
		return p, fmt.Errorf(`read UserParameters, which are JSON such as {"app": "web", "namespace": "web", "cluster": "production"}: %w`, err)
	}
	if p.App == "" && p.Config == "" {
		return p, errors.New("UserParameters name no app, under which the cluster keeps the revisions")
	}
	return p, nil
}

// overlay lets the keys of a JSON object win over what is there.
func overlay(text string, into *Parameters) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more text follows the object")
	}
	return nil
}

// settings are what is deployed and how, of the file in the artifact and of the
// parameters.
func (p Parameters) settings(root string) (pipeline.Deploy, error) {
	merged := Parameters{}
	if p.Config != "" {
		if !filepath.IsLocal(p.Config) {
			return pipeline.Deploy{}, fmt.Errorf("config %q is not inside the artifact", p.Config)
		}
		dir, err := os.OpenRoot(root)
		if err != nil {
			return pipeline.Deploy{}, err
		}
		defer dir.Close()
		text, err := dir.ReadFile(p.Config)
		if err != nil {
			return pipeline.Deploy{}, fmt.Errorf("read config: %w", err)
		}
		file, err := definition.ParseDeploy(text)
		if err != nil {
			return pipeline.Deploy{}, fmt.Errorf("read config %s: %w", p.Config, err)
		}
		merged.Deploy = file.Deploy
	}
	if err := overlay(p.text, &merged); err != nil {
		return pipeline.Deploy{}, err
	}
	if problems := merged.Problems(); len(problems) > 0 {
		return pipeline.Deploy{}, problems
	}
	if merged.App == "" {
		return pipeline.Deploy{}, fmt.Errorf("neither UserParameters nor %s name an app", p.Config)
	}
	return merged.Deploy, nil
}

// grace is what a deployment gets beyond the times that it is to wait.
const grace = 5 * time.Minute

// longest is how long a deployment may take with all its slices, each of which
// has the timeout anew: the timeout, what it is to wait for, and some more.
func longest(d pipeline.Deploy) time.Duration {
	sum := grace + duration(d.Timeout, deploy.DefaultTimeout) + duration(d.Propagation, 0) + duration(d.Analysis, 0) + duration(d.ScaleDownDelay, 0)
	if d.Approval {
		sum += duration(d.ApprovalWait, 24*time.Hour)
	}
	return sum
}

func duration(text string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return fallback
}

func namespaceOf(d pipeline.Deploy, cluster *kube.Cluster) string {
	return cmp.Or(d.Namespace, cluster.Namespace, "default")
}

// summaryOf is a deployment in a line.
func summaryOf(d pipeline.Deployment) string {
	text := fmt.Sprintf("%s: revision %d, %s", d.App, d.Revision, d.Strategy)
	if d.Verdict != nil {
		text += ", " + strings.ReplaceAll(d.Verdict.String(), " · ", ", ")
	}
	return text
}

// variablesOf are what later actions can use of a deployment.
func variablesOf(d pipeline.Deployment) map[string]string {
	found := map[string]string{"Revision": strconv.Itoa(d.Revision), "Namespace": d.Namespace}
	if d.URL != "" {
		found["URL"] = d.URL
	}
	if d.Verdict != nil {
		found["Verdict"] = strings.ReplaceAll(d.Verdict.String(), " · ", ", ")
		found["Requests"], found["Lost"] = strconv.Itoa(d.Verdict.Requests), strconv.Itoa(d.Verdict.Lost)
	}
	return found
}
