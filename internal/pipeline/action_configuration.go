package pipeline

// The configurations of the action types. They are nouns, not behaviour: the
// definition room compiles towline.yaml to them, and the room that carries the
// action out decodes them from Action.Configuration. The doc tags become the
// descriptions in the published JSON Schema.

// Source is the configuration of Source/Git: a revision of a repository on
// Towline's git server, or of one elsewhere. Its output artifact is the tree of
// that commit. Exactly one of Repository and URL is set.
type Source struct {
	Repository string `json:"repository,omitempty"`
	URL        string `json:"url,omitempty"`    // of a repository elsewhere, without credentials
	Branch     string `json:"branch,omitempty"` // of URL that is followed; "" is its default branch
}

// Build is the configuration of Build/Buildspec: the phases of a buildspec,
// run on a backend. Exactly one of Buildspec and Commands is set.
type Build struct {
	Buildspec string             `json:"buildspec,omitempty" doc:"path of a buildspec file in the source, default buildspec.yml"`
	Commands  []string           `json:"commands,omitempty" doc:"shell commands instead of a buildspec file"`
	Artifacts []string           `json:"artifacts,omitempty" doc:"with commands: glob patterns of the files that form the output artifact"`
	Reports   []string           `json:"reports,omitempty" doc:"with commands: glob patterns of JUnit XML files to read and show"`
	Services  map[string]Service `json:"services,omitempty" doc:"databases that are started empty for this build, by name"`
	Env       map[string]string  `json:"env,omitempty" doc:"environment variables of the build"`
	Timeout   string             `json:"timeout,omitempty" doc:"longest the build may take, e.g. 20m; default 1h"`
}

// Service is a database that a build gets for itself, empty.
type Service struct {
	Engine string `json:"engine" doc:"which database: postgres" jsonschema:"enum=postgres"`
}

// Image is the configuration of Build/Image: an artifact layered on a base
// image, without a daemon, known by its digest afterwards.
type Image struct {
	Repository string            `json:"repository" doc:"repository to push to: a name on the embedded registry, or a full reference such as ghcr.io/acme/web"`
	Artifact   string            `json:"artifact,omitempty" doc:"artifact to put into the image, default the last one made"`
	Base       string            `json:"base,omitempty" doc:"scratch (default), an image reference, or oci:PATH for an OCI layout directory (relative to the artifact, or absolute)"`
	Path       string            `json:"path,omitempty" doc:"directory of the image that the artifact's files go to, default /app"`
	Entrypoint []string          `json:"entrypoint,omitempty" doc:"command that the container runs"`
	Env        map[string]string `json:"env,omitempty" doc:"environment variables of the container"`
	Ports      []int             `json:"ports,omitempty" doc:"TCP ports that the container listens on"`
	User       string            `json:"user,omitempty" doc:"user of the container, default 65532:65532 on scratch, else the base's"`
	Platforms  []string          `json:"platforms,omitempty" doc:"platforms such as linux/amd64, default the server's own"`
}

// Approval is the configuration of Approval/Manual, in CodePipeline's words.
type Approval struct {
	Message string `json:"CustomData,omitempty"`         // what is to be decided
	Link    string `json:"ExternalEntityLink,omitempty"` // where to look first
	Topic   string `json:"NotificationArn,omitempty"`    // of AWS's SNS
}

// VariableCheck is the configuration of Rule/VariableCheck, in CodePipeline's
// words.
type VariableCheck struct {
	Operator string // one of the Operator constants
	Value    string // what the variable is compared with
	Variable string // a reference, #{namespace.name}; when the rule runs, the value of it
}

// The operators of a VariableCheck.
const (
	OperatorEquals    = "EQ"
	OperatorNotEquals = "NE"
	OperatorContains  = "CONTAINS"
	OperatorMatches   = "MATCHES" // a regular expression, the whole value
)

// DeploymentWindow is the configuration of Rule/DeploymentWindow, in
// CodePipeline's words.
type DeploymentWindow struct {
	Cron     string // see package timetable
	TimeZone string `json:",omitempty"` // "" is UTC
}

// LambdaInvoke is the configuration of Rule/LambdaInvoke, in CodePipeline's
// words.
type LambdaInvoke struct {
	Function   string `json:"FunctionName"`
	Parameters string `json:"UserParameters,omitempty"` // for the function to read
}

// S3Source is the configuration of Source/S3, in CodePipeline's words: an
// object, such as a zip file.
type S3Source struct {
	Bucket string `json:"S3Bucket"`
	Key    string `json:"S3ObjectKey"`
}

// ImageSource is the configuration of Source/Image: an image in a registry.
type ImageSource struct {
	Image string `json:"image"` // a reference such as ghcr.io/acme/base:17
}
