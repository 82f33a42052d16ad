package project

import (
	"encoding/json"
	"strings"
)

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

// Inline tells whether Buildspec is the text of a buildspec, and not a path.
func (s Source) Inline() bool {
	text := strings.TrimSpace(s.Buildspec)
	return strings.Contains(text, "\n") || strings.HasPrefix(text, "{")
}

// SourceVersion is the version of a secondary source.
type SourceVersion struct {
	Identifier string `json:"sourceIdentifier"`
	Version    string `json:"sourceVersion"`
}

// VersionOf is the version that is wanted of a secondary source.
func (d Definition) VersionOf(s Source) string {
	for _, v := range d.SecondaryVersions {
		if v.Identifier == s.Identifier {
			return v.Version
		}
	}
	return ""
}
