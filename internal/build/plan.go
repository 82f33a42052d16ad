package build

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// defaultTimeout is how long a build may take when nobody says.
const defaultTimeout = time.Hour

// plan is a build and what is done with its files afterwards. It is kept beside
// the build, since the commands may change the buildspec they came from.
type plan struct {
	Build     Build                 `json:"build"`
	Artifacts buildspec.Artifacts   `json:"artifacts"`
	Secondary []buildspec.Artifacts `json:"secondary,omitempty"`
	Reports   []buildspec.Report    `json:"reports,omitempty"`
	// Seen are where the commands saw the source and the further inputs, once
	// expanded: what they name below it is found again on this side.
	Seen []string `json:"seen,omitempty"`
	// Secrets are the variables whose values are asked for when the build runs.
	Secrets []wanted `json:"secrets,omitempty"`
	// Databases are those on running servers.
	Databases []wantedDatabase `json:"databases,omitempty"`
	// Part is the identifier of a build of a batch, "" for others.
	Part string `json:"part,omitempty"`
	// Git says that git may use the source's credential.
	Git bool `json:"git,omitempty"`
	// Kubeconfig is the credential that the commands get, nil for none.
	Kubeconfig *pipeline.Kubeconfig `json:"kubeconfig,omitempty"`
}

// texts are the places of the texts in which the shell replaces something when
// the phases have ended: Build.Expand holds them in this order.
func (p *plan) texts() []*string {
	return slices.DeleteFunc(p.expandable(), func(text *string) bool { return !strings.ContainsAny(*text, "$`\\") })
}

// expandable are the places of the texts in which something may be replaced.
func (p *plan) expandable() []*string {
	var texts []*string
	list := func(of []string) {
		for i := range of {
			texts = append(texts, &of[i])
		}
	}
	add := func(a *buildspec.Artifacts) {
		texts = append(texts, &a.BaseDirectory, &a.Name, &a.Prefix)
		list(a.Files)
		list(a.Exclude)
	}
	add(&p.Artifacts)
	for i := range p.Secondary {
		add(&p.Secondary[i])
	}
	for i := range p.Reports {
		texts = append(texts, &p.Reports[i].BaseDirectory)
		list(p.Reports[i].Files)
	}
	list(p.Seen)
	return texts
}

// seen are the words by which the shell knows where the source and the inputs
// are. Nobody needs to know where all texts are plain paths inside the source.
func (p *plan) seen() []string {
	if !slices.ContainsFunc(p.expandable(), func(text *string) bool { return strings.ContainsAny(*text, "$`") || strings.HasPrefix(*text, "/") }) {
		return nil
	}
	seen := []string{"$CODEBUILD_SRC_DIR"}
	for _, name := range p.Build.Inputs {
		seen = append(seen, "$CODEBUILD_SRC_DIR_"+Variable(name))
	}
	return seen
}

// expand puts the texts in which the shell has replaced variables where they
// came from.
func (p *plan) expand(texts []string) {
	to := p.texts()
	if len(texts) != len(to) {
		return // the build ended before
	}
	for i, text := range texts {
		*to[i] = text
	}
}

// synthesize makes the buildspec of an action that lists its commands itself.
func synthesize(c pipeline.Build) buildspec.Spec {
	s := buildspec.Spec{
		Version:   "0.2",
		Phases:    []buildspec.Phase{{Name: "build", Commands: c.Commands}},
		Artifacts: buildspec.Artifacts{Files: c.Artifacts},
	}
	if len(c.Reports) > 0 {
		s.Reports = []buildspec.Report{{Name: "tests", Files: c.Reports, Format: buildspec.ReportFormats()[0]}}
	}
	return s
}

// request is all that a plan is made of.
type request struct {
	job     pipeline.Job
	config  pipeline.Build
	spec    buildspec.Spec
	started time.Time
	account Account
	// label is the identifier of a build of a batch, else "".
	label string
}

// Timeout is how long a build may take, by what its configuration says.
func Timeout(text string) (time.Duration, error) {
	if text == "" {
		return defaultTimeout, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("timeout %q is not a duration above zero, such as 20m", text)
	}
	return d, nil
}

// newPlan makes the plan of a job. It is pure.
func newPlan(r request) (plan, error) {
	job, config, spec := r.job, r.config, r.spec
	timeout, err := Timeout(config.Timeout)
	if err != nil {
		return plan{}, err
	}
	if len(spec.Phases) == 0 {
		return plan{}, errors.New("the buildspec has a batch and no commands of its own; run it as a batch, or add phases")
	}
	secrets := wantedSecrets(spec.Env, config)
	b := Build{
		Pipeline: job.Pipeline,
		Key:      job.Key(),
		Label:    r.label,
		Shell:    spec.Env.Shell,
		Separate: spec.Version == "0.1",
		Phases:   phases(spec),
		Env:      environment(r),
		Override: config.Env,
		Runtimes: runtimes(spec.Phases),
		Exported: exported(spec.Env.Exported, secrets),
		Timeout:  timeout,
		Compute:  config.Compute,
		Pod:      config.Pod,
		Limits:   config.Limits,
	}
	if len(spec.Cache.Paths) > 0 {
		b.Cache = &spec.Cache
	}
	if b.Compute == "" && b.Pod != nil {
		b.Compute = pipeline.ComputePod
	}
	for _, name := range slices.Sorted(maps.Keys(config.Services)) {
		service := config.Services[name]
		if !slices.Contains(pipeline.Engines(), service.Engine) {
			return plan{}, fmt.Errorf("service %q asks for engine %q; the engines are %s", name, service.Engine, strings.Join(pipeline.Engines(), ", "))
		}
		if service.Server == "" {
			b.Services = append(b.Services, Service{Name: name, Engine: service.Engine, Version: service.Version})
		}
	}
	for _, a := range job.Inputs[min(1, len(job.Inputs)):] {
		b.Inputs = append(b.Inputs, a.Name)
	}
	p := plan{
		Build: b, Artifacts: spec.Artifacts, Secondary: spec.Secondary, Reports: spec.Reports,
		Kubeconfig: config.Kubeconfig, Secrets: secrets, Git: spec.Env.GitCredentials,
		Databases: onServers(config.Services),
	}
	p.Seen = p.seen()
	for _, text := range p.texts() {
		p.Build.Expand = append(p.Build.Expand, *text)
	}
	return p, nil
}

// phases gives each phase CodeBuild's transitions: post_build runs after a
// failed build phase, nothing else runs after a failure, on-failure says
// otherwise.
func phases(spec buildspec.Spec) []Phase {
	var out []Phase
	for _, p := range spec.Phases {
		phase := Phase{
			Name:     p.Name,
			Commands: p.Commands,
			Finally:  p.Finally,
			RunAs:    cmp.Or(p.RunAs, spec.RunAs),
			GoOn:     p.OnFailure.Action == buildspec.Continue || p.Name == "build" && p.OnFailure.Action != buildspec.Abort,
		}
		if p.OnFailure.Action == buildspec.Retry {
			phase.Retries, phase.RetryIf = p.OnFailure.Times, p.OnFailure.Match
		}
		out = append(out, phase)
	}
	return out
}

func runtimes(of []buildspec.Phase) []buildspec.Runtime {
	var all []buildspec.Runtime
	for _, p := range of {
		all = append(all, p.Runtimes...)
	}
	return all
}

// exported are the variables whose values later actions may see.
func exported(names []string, secrets []wanted) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(secrets, func(w wanted) bool { return w.Variable == name })
	})
}

// Variable turns a name into one that a shell takes: "app-jar" is app_jar.
func Variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}
