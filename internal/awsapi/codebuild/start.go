package codebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
)

// startInput is StartBuildInput, as far as it has a meaning here.
type startInput struct {
	ProjectName   string `json:"projectName"`
	SourceVersion string `json:"sourceVersion"`
	Token         string `json:"idempotencyToken"`

	Variables     []project.Variable `json:"environmentVariablesOverride"`
	Timeout       *int               `json:"timeoutInMinutesOverride"`
	QueuedTimeout *int               `json:"queuedTimeoutInMinutesOverride"`
	AutoRetry     *int               `json:"autoRetryLimitOverride"`

	SecondarySources   []project.Source        `json:"secondarySourcesOverride"`
	SecondaryVersions  []project.SourceVersion `json:"secondarySourcesVersionOverride"`
	Artifacts          *project.Artifacts      `json:"artifactsOverride"`
	SecondaryArtifacts []project.Artifacts     `json:"secondaryArtifactsOverride"`
	SourceType         *string                 `json:"sourceTypeOverride"`
	SourceLocation     *string                 `json:"sourceLocationOverride"`
	Buildspec          *string                 `json:"buildspecOverride"`
	EnvironmentType    *string                 `json:"environmentTypeOverride"`
	Image              *string                 `json:"imageOverride"`
	ComputeType        *string                 `json:"computeTypeOverride"`
	Privileged         *bool                   `json:"privilegedModeOverride"`
	ServiceRole        *string                 `json:"serviceRoleOverride"`

	Depth        *int            `json:"gitCloneDepthOverride"`
	Submodules   json.RawMessage `json:"gitSubmodulesConfigOverride"`
	Cache        json.RawMessage `json:"cacheOverride"`
	LogsConfig   json.RawMessage `json:"logsConfigOverride"`
	Auth         json.RawMessage `json:"sourceAuthOverride"`
	StatusConfig json.RawMessage `json:"buildStatusConfigOverride"`
	Registry     json.RawMessage `json:"registryCredentialOverride"`
	Fleet        json.RawMessage `json:"fleetOverride"`
	Encryption   *string         `json:"encryptionKeyOverride"`
	Certificate  *string         `json:"certificateOverride"`
	PullBy       *string         `json:"imagePullCredentialsTypeOverride"`
	ReportStatus *bool           `json:"reportBuildStatusOverride"`
	InsecureSSL  *bool           `json:"insecureSslOverride"`

	Debug bool `json:"debugSessionEnabled"`
}

// change gives a build's definition what was asked for.
func (in startInput) change(d *project.Definition) {
	d.Environment.Override(in.Variables)
	replace(&d.Timeout, in.Timeout)
	replace(&d.QueuedTimeout, in.QueuedTimeout)
	replace(&d.AutoRetry, in.AutoRetry)
	if in.SecondarySources != nil {
		d.SecondarySources = in.SecondarySources
	}
	if in.SecondaryVersions != nil {
		d.SecondaryVersions = in.SecondaryVersions
	}
	replace(&d.Artifacts, in.Artifacts)
	if in.SecondaryArtifacts != nil {
		d.SecondaryArtifacts = in.SecondaryArtifacts
	}
	replace(&d.Source.Type, in.SourceType)
	replace(&d.Source.Location, in.SourceLocation)
	replace(&d.Source.Buildspec, in.Buildspec)
	replace(&d.Environment.Type, in.EnvironmentType)
	replace(&d.Environment.Image, in.Image)
	replace(&d.Environment.ComputeType, in.ComputeType)
	replace(&d.Environment.Privileged, in.Privileged)
	replace(&d.Environment.Certificate, in.Certificate)
	replace(&d.Environment.PullBy, in.PullBy)
	replace(&d.ServiceRole, in.ServiceRole)
	replace(&d.EncryptionKey, in.Encryption)
	for into, given := range map[*json.RawMessage]json.RawMessage{
		&d.Source.Submodules: in.Submodules, &d.Source.Auth: in.Auth, &d.Source.StatusConfig: in.StatusConfig,
		&d.Environment.Registry: in.Registry, &d.Environment.Fleet: in.Fleet, &d.Cache: in.Cache, &d.LogsConfig: in.LogsConfig,
	} {
		if given != nil {
			*into = given
		}
	}
	if in.Depth != nil {
		d.Source.Depth = in.Depth
	}
	if in.ReportStatus != nil {
		d.Source.ReportStatus = in.ReportStatus
	}
	if in.InsecureSSL != nil {
		d.Source.InsecureSSL = in.InsecureSSL
	}
	if d.Artifacts.Type == project.ArtifactsPipeline && d.Source.Type != project.SourcePipeline {
		d.Artifacts = project.Artifacts{Type: project.ArtifactsNone} // there is no pipeline to hand them to
	}
}

func replace[T any](into, given *T) {
	if given != nil {
		*into = *given
	}
}

// redefines are the overrides that change what runs, where, or where files go:
// who may not define a project may not do so by a build of it.
func (in startInput) redefines() []string {
	var names []string
	for name, given := range map[string]bool{
		"buildspecOverride": in.Buildspec != nil, "sourceTypeOverride": in.SourceType != nil, "sourceLocationOverride": in.SourceLocation != nil,
		"secondarySourcesOverride": in.SecondarySources != nil, "artifactsOverride": in.Artifacts != nil, "secondaryArtifactsOverride": in.SecondaryArtifacts != nil,
		"imageOverride": in.Image != nil, "environmentTypeOverride": in.EnvironmentType != nil, "computeTypeOverride": in.ComputeType != nil,
		"privilegedModeOverride": in.Privileged != nil, "serviceRoleOverride": in.ServiceRole != nil,
	} {
		if given {
			names = append(names, name)
		}
	}
	for _, v := range in.Variables {
		if v.Type == project.ParameterStore || v.Type == project.SecretsManager {
			names = append(names, "environmentVariablesOverride with secrets")
			break
		}
	}
	return names
}

type buildOutput struct{ Build document }

func (s *service) startBuild(ctx context.Context, c wire.Call, in startInput) (*buildOutput, error) {
	if in.Debug {
		return nil, noDebugging()
	}
	if names := in.redefines(); len(names) > 0 && !c.Key.Role.Allows(client.Admin) {
		return nil, tooMuch(c, names)
	}
	digest, err := digestOf(in)
	if err != nil {
		return nil, err
	}
	return begun(c)(s.Builds.Start(ctx, builder.StartRequest{
		Project: projectName(in.ProjectName), Version: in.SourceVersion, Change: in.change, Initiator: c.Who(), Region: c.Region,
		Token: in.Token, Digest: digest,
	}))
}

// noDebugging refuses what somebody would wait for in vain.
func noDebugging() error {
	return wire.Faultf("InvalidInputException", "debugSessionEnabled: builds have no debug sessions here: run the build on your machine with towline build, or leave the option away.")
}

// tooMuch refuses overrides that want another role.
func tooMuch(c wire.Call, names []string) error {
	return wire.Faultf("AccessDeniedException", "User: %s is not authorized to perform: codebuild:%s with %s because the access key's role is %s and this needs %s",
		c.User(), c.Operation, strings.Join(names, ", "), c.Key.Role, client.Admin)
}

// digestOf tells requests with the same token apart.
func digestOf(in any) (string, error) {
	asked, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(asked)
	return hex.EncodeToString(sum[:]), nil
}

func begun(c wire.Call) func(project.Build, error) (*buildOutput, error) {
	return func(b project.Build, err error) (*buildOutput, error) {
		if err != nil {
			return nil, err
		}
		doc, err := buildDocument(c, b)
		return &buildOutput{doc}, err
	}
}

type retryInput struct {
	ID    string `json:"id"`
	Token string `json:"idempotencyToken"`
}

func (s *service) retryBuild(ctx context.Context, c wire.Call, in retryInput) (*buildOutput, error) {
	if in.ID == "" {
		return nil, wire.Faultf("InvalidInputException", "Build id must be given.")
	}
	b, err := s.build(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return begun(c)(s.Builds.Retry(ctx, b.ID, builder.StartRequest{Initiator: c.Who(), Region: c.Region, Token: in.Token, Digest: in.ID}))
}

func (s *service) stopBuild(ctx context.Context, c wire.Call, in retryInput) (*buildOutput, error) {
	b, err := s.build(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return begun(c)(s.Builds.Stop(ctx, b.ID))
}
