package attest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// How images are made: by layering, or by a Dockerfile, out of the parameters
// below.
const (
	buildLayered    = "https://towline.dev/buildtypes/image/v1"
	buildDockerfile = "https://towline.dev/buildtypes/dockerfile/v1"
)

// Source is what an image was made of, and by whom.
type Source struct {
	Pipeline, Execution, Stage, Action string
	Revision                           pipeline.Revision
	// URL is where the revision's repository is cloned from.
	URL string
	// Artifact is what was put into the image, and Buildspec the file in the
	// repository that made it, "" when commands of the pipeline did.
	Artifact  pipeline.Artifact
	Buildspec string
	Image     pipeline.Image
	// Bases are those that a Dockerfile was built on, by digest.
	Bases   []string
	Started time.Time
}

// Provenance is SLSA's, version 1, as far as Towline fills it in.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what went in.
type BuildDefinition struct {
	BuildType            string     `json:"buildType"`
	ExternalParameters   Parameters `json:"externalParameters"`
	InternalParameters   Internals  `json:"internalParameters"`
	ResolvedDependencies []Material `json:"resolvedDependencies"`
}

// Parameters are what the repository and the pipeline say.
type Parameters struct {
	Source     string   `json:"source"` // URL of the repository
	Branch     string   `json:"branch,omitempty"`
	Tag        string   `json:"tag,omitempty"`
	Pipeline   string   `json:"pipeline"`
	Buildspec  string   `json:"buildspec,omitempty"`
	Repository string   `json:"repository"` // of the image
	Base       string   `json:"base,omitempty"`
	Path       string   `json:"path,omitempty"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	User       string   `json:"user,omitempty"`
	Platforms  []string `json:"platforms,omitempty"`
	Dockerfile string   `json:"dockerfile,omitempty"`
	Context    string   `json:"context,omitempty"`
	Target     string   `json:"target,omitempty"`
	Args       []string `json:"args,omitempty"` // names; a value may be secret
}

// Internals are where in the server it was made.
type Internals struct {
	Repository string `json:"repository"` // name of the source's, on the server
	Execution  string `json:"execution"`
	Stage      string `json:"stage"`
	Action     string `json:"action"`
}

// RunDetails are about this one time.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// Builder is who built.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// Metadata is when.
type Metadata struct {
	InvocationID string    `json:"invocationId"`
	StartedOn    time.Time `json:"startedOn"`
	FinishedOn   time.Time `json:"finishedOn"`
}

// provenance tells how an image was made. Environment variables are left out:
// their values may be secret.
func (a *Attestor) provenance(image Image) Provenance {
	s := image.Source
	made := []Material{{Name: "source", URI: "git+" + s.URL + "@" + ref(s.Revision), Digest: map[string]string{"gitCommit": s.Revision.Commit}}}
	if s.Buildspec != "" {
		made = append(made, Material{Name: "buildspec", URI: "git+" + s.URL + "@" + ref(s.Revision) + "#" + s.Buildspec, Digest: map[string]string{"gitCommit": s.Revision.Commit}})
	}
	made = append(made, Material{Name: "artifact", URI: "artifact:" + s.Artifact.Name, Digest: digestOf(s.Artifact.Digest)})
	for _, p := range image.Platforms {
		if p.Base.URI != "" {
			made = append(made, p.Base)
		}
	}
	for _, base := range s.Bases {
		if _, digest, ok := strings.Cut(base, "@"); ok {
			made = append(made, Material{Name: "base", URI: "oci:" + base, Digest: digestOf(digest)})
		}
	}
	how := buildLayered
	if s.Image.Dockerfile != "" {
		how = buildDockerfile
	}
	finished := a.Now().UTC().Truncate(time.Second)
	started := s.Started
	if started.IsZero() {
		started = finished
	}
	return Provenance{
		BuildDefinition: BuildDefinition{
			BuildType: how,
			ExternalParameters: Parameters{
				Source: s.URL, Branch: s.Revision.Branch, Tag: s.Revision.Tag, Pipeline: s.Pipeline, Buildspec: s.Buildspec,
				Repository: image.Reference.Context().Name(), Base: s.Image.Base, Path: s.Image.Path,
				Entrypoint: s.Image.Entrypoint, User: s.Image.User, Platforms: s.Image.Platforms,
				Dockerfile: s.Image.Dockerfile, Context: s.Image.Context, Target: s.Image.Target, Args: slices.Sorted(maps.Keys(s.Image.Args)),
			},
			InternalParameters:   Internals{Repository: s.Revision.Repository, Execution: s.Execution, Stage: s.Stage, Action: s.Action},
			ResolvedDependencies: made,
		},
		RunDetails: RunDetails{
			Builder:  Builder{ID: a.Builder, Version: map[string]string{"towline": a.Version}},
			Metadata: Metadata{InvocationID: s.Execution + "." + s.Stage + "." + s.Action, StartedOn: started.UTC().Truncate(time.Second), FinishedOn: finished},
		},
	}
}

// digestOf takes a digest apart.
func digestOf(text string) map[string]string {
	algorithm, value, ok := strings.Cut(text, ":")
	if !ok {
		return nil
	}
	return map[string]string{algorithm: value}
}

func ref(r pipeline.Revision) string {
	if r.Tag != "" {
		return "refs/tags/" + r.Tag
	}
	return "refs/heads/" + r.Branch
}
