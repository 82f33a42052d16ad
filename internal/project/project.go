// Package project keeps builds that can be started by themselves: its noun is
// the project, which says of what source, where and how something is built, and
// the builds of it, numbered, with their records. It stands beside the engine,
// which walks pipelines: a build is started by a person, by AWS's clients or by
// an action of a pipeline, waits in a queue until there is room, and is carried
// out by an Action, as a build in a pipeline is; after a crash it is taken up
// where it is. The words are CodeBuild's. It knows neither how a build runs,
// nor where sources come from and files go to: who puts the server together
// gives it what does.
package project

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Definition is a project, in CodeBuild's words, and in JSON in its form. The
// members without a meaning here are kept as they came.
type Definition struct {
	Name              string          `json:"name"`
	Description       string          `json:"description,omitempty"`
	Source            Source          `json:"source"`
	SecondarySources  []Source        `json:"secondarySources,omitempty"`
	SourceVersion     string          `json:"sourceVersion,omitempty"`
	SecondaryVersions []SourceVersion `json:"secondarySourceVersions,omitempty"`

	Artifacts          Artifacts   `json:"artifacts"`
	SecondaryArtifacts []Artifacts `json:"secondaryArtifacts,omitempty"`
	Environment        Environment `json:"environment"`
	ServiceRole        string      `json:"serviceRole,omitempty"`

	Timeout       int `json:"timeoutInMinutes,omitempty"`       // of a build, 0 for 60
	QueuedTimeout int `json:"queuedTimeoutInMinutes,omitempty"` // before it begins, 0 for 480
	// Limit is how many builds of the project run at once, 0 for any number.
	Limit int `json:"concurrentBuildLimit,omitempty"`

	Tags          []Tag           `json:"tags,omitempty"`
	AutoRetry     int             `json:"autoRetryLimit,omitempty"`
	Cache         json.RawMessage `json:"cache,omitempty"`
	LogsConfig    json.RawMessage `json:"logsConfig,omitempty"`
	Vpc           json.RawMessage `json:"vpcConfig,omitempty"`
	FileSystems   json.RawMessage `json:"fileSystemLocations,omitempty"`
	Batch         *BatchConfig    `json:"buildBatchConfig,omitempty"`
	EncryptionKey string          `json:"encryptionKey,omitempty"`
	Badge         bool            `json:"badgeEnabled,omitempty"`
}

// Source is where the files of a build come from.
type Source struct {
	Type     string `json:"type"`
	Location string `json:"location,omitempty"`
	// Buildspec is the path of a file in the source, or the text itself.
	Buildspec string `json:"buildspec,omitempty"`
	// Identifier names a secondary source: its directory is in the variable
	// CODEBUILD_SRC_DIR_ with this behind it.
	Identifier string `json:"sourceIdentifier,omitempty"`

	Depth        *int            `json:"gitCloneDepth,omitempty"`
	Submodules   json.RawMessage `json:"gitSubmodulesConfig,omitempty"`
	Auth         json.RawMessage `json:"auth,omitempty"`
	ReportStatus *bool           `json:"reportBuildStatus,omitempty"`
	StatusConfig json.RawMessage `json:"buildStatusConfig,omitempty"`
	InsecureSSL  *bool           `json:"insecureSsl,omitempty"`
}

// The types of sources. The others are git repositories.
const (
	SourcePipeline = "CODEPIPELINE" // what an action of a pipeline is given
	SourceS3       = "S3"
	SourceNone     = "NO_SOURCE"
)

// Git tells whether the source is a git repository.
func (s Source) Git() bool {
	return s.Type != SourcePipeline && s.Type != SourceS3 && s.Type != SourceNone
}

// SourceVersion is the version of a secondary source.
type SourceVersion struct {
	Identifier string `json:"sourceIdentifier"`
	Version    string `json:"sourceVersion"`
}

// Artifacts is where the files go that a build makes.
type Artifacts struct {
	Type       string `json:"type"`
	Location   string `json:"location,omitempty"` // a bucket
	Path       string `json:"path,omitempty"`
	Namespace  string `json:"namespaceType,omitempty"` // NONE or BUILD_ID
	Name       string `json:"name,omitempty"`
	Packaging  string `json:"packaging,omitempty"`            // NONE or ZIP
	ByBuild    *bool  `json:"overrideArtifactName,omitempty"` // the buildspec's name counts
	Plain      *bool  `json:"encryptionDisabled,omitempty"`
	Identifier string `json:"artifactIdentifier,omitempty"`
	Owner      string `json:"bucketOwnerAccess,omitempty"`
}

// The types of Artifacts.
const (
	ArtifactsPipeline = "CODEPIPELINE" // the output of an action of a pipeline
	ArtifactsS3       = "S3"
	ArtifactsNone     = "NO_ARTIFACTS"
)

// Environment is where a build runs.
type Environment struct {
	Type        string     `json:"type"`
	Image       string     `json:"image"`
	ComputeType string     `json:"computeType"`
	Variables   []Variable `json:"environmentVariables,omitempty"`
	Privileged  bool       `json:"privilegedMode,omitempty"`

	Certificate string          `json:"certificate,omitempty"`
	Registry    json.RawMessage `json:"registryCredential,omitempty"`
	PullBy      string          `json:"imagePullCredentialsType,omitempty"`
	Compute     json.RawMessage `json:"computeConfiguration,omitempty"`
	Fleet       json.RawMessage `json:"fleet,omitempty"`
	Docker      json.RawMessage `json:"dockerServer,omitempty"`
}

// Variable is an environment variable of a build.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`          // or the name of what has it
	Type  string `json:"type,omitempty"` // "" for PLAINTEXT
}

// The types of a Variable.
const (
	Plaintext      = "PLAINTEXT"
	ParameterStore = "PARAMETER_STORE"
	SecretsManager = "SECRETS_MANAGER"
)

// Tag is a word about a project, for people.
type Tag struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
}

// Changed is the definition with other values for the members that are given,
// each replaced as a whole.
func (d Definition) Changed(members map[string]json.RawMessage) (Definition, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	maps.Copy(all, members)
	if text, err = json.Marshal(all); err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	var changed Definition
	if err := json.Unmarshal(text, &changed); err != nil {
		return Definition{}, refuse(ErrInvalid, "read the project: %v", err)
	}
	return changed, nil
}
