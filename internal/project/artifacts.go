package project

import (
	"cmp"
	"path"
	"strings"
)

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

// Delivered is an artifact that has been put into a bucket.
type Delivered struct {
	Identifier string `json:"identifier,omitempty"` // of a secondary one
	Location   string `json:"location"`             // bucket/key
	// The sums of the archive; both are "" when it was put there unpacked.
	Digest string `json:"digest,omitempty"` // sha256:hex
	MD5    string `json:"md5,omitempty"`    // hex
}

// Key is where in its bucket an artifact goes, by CodeBuild's rule:
// PATH/BUILD/NAME, of which all but the name may be missing. Each part is taken
// as a name, not as a way out of the others.
func (a Artifacts) Key(build, made string) string {
	name := a.Name
	if a.ByBuild != nil && *a.ByBuild || name == "" || name == "/" {
		name = cmp.Or(made, name)
	}
	if a.Packaging == "ZIP" && !strings.HasSuffix(name, ".zip") && a.Name == "" {
		name += ".zip"
	}
	parts := []string{a.Path}
	if a.Namespace == "BUILD_ID" {
		_, uuid, _ := strings.Cut(build, ":")
		parts = append(parts, uuid)
	}
	parts = append(parts, name)
	for i, part := range parts {
		parts[i] = path.Clean("/" + part) // From its own root there is no way up.
	}
	return strings.TrimPrefix(path.Join(parts...), "/")
}
