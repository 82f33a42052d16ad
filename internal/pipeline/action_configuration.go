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
	Compute   string             `json:"compute,omitempty" doc:"where the build runs: host, as processes of the server's machine, or pod, as a Pod of a cluster; default host, or pod when pod is given" jsonschema:"enum=host,enum=pod"`
	Pod       *Pod               `json:"pod,omitempty" doc:"the Pod of a build with compute: pod"`
	Limits    *Limits            `json:"limits,omitempty" doc:"what a build on the host may use, below what the server gives each build"`
	Services  map[string]Service `json:"services,omitempty" doc:"databases that are started empty for this build, by name"`
	Env       map[string]string  `json:"env,omitempty" doc:"environment variables of the build"`
	Secrets   map[string]string  `json:"secrets,omitempty" doc:"environment variables whose values are kept by towline secret: variable to name of the secret; hidden in the log"`
	// Parameters and Managed are variables as Secrets are, whose values are named
	// as AWS's Parameter Store and Secrets Manager name them. Projects have them.
	Parameters map[string]string `json:"parameters,omitempty" jsonschema:"-"`
	Managed    map[string]string `json:"managed,omitempty" jsonschema:"-"`
	Batch      *Batch            `json:"batch,omitempty" doc:"runs the builds of the buildspec's batch instead of the one build"`
	Kubeconfig *Kubeconfig       `json:"kubeconfig,omitempty" doc:"lets the commands use kubectl: the variable KUBECONFIG leads to a short-lived credential of a cluster, gone when the build ends"`
	Timeout    string            `json:"timeout,omitempty" doc:"longest the build may take, e.g. 20m; default 1h"`
}

// The values of Build.Compute.
const (
	ComputeHost = "host"
	ComputePod  = "pod"
)

// Pod is where a build with ComputePod runs.
type Pod struct {
	Image          string            `json:"image,omitempty" doc:"image with the tools and a shell, default the server's"`
	Cluster        string            `json:"cluster,omitempty" doc:"cluster as towline cluster names it, default the server's own"`
	Namespace      string            `json:"namespace,omitempty" doc:"namespace of the Pod, default towline-builds"`
	CPU            string            `json:"cpu,omitempty" doc:"processors, as Kubernetes writes them: 2 or 500m; request and limit"`
	Memory         string            `json:"memory,omitempty" doc:"memory, as Kubernetes writes it: 2Gi; request and limit"`
	NodeSelector   map[string]string `json:"nodeSelector,omitempty" doc:"labels that the node must have"`
	ServiceAccount string            `json:"serviceAccount,omitempty" doc:"service account of the Pod; without one no token is mounted"`
	Privileged     bool              `json:"privileged,omitempty" doc:"lets the build do anything on its node, as Docker in the build needs it; default no"`
	Cache          string            `json:"cache,omitempty" doc:"size of a volume kept for the tools' caches from build to build of the pipeline, such as 10Gi; default none"`
}

// Limits are what a build with ComputeHost may use, all its processes together.
// A build that uses more is ended and has failed.
type Limits struct {
	Memory    string `json:"memory,omitempty" doc:"memory of all processes together, such as 2Gi; default three quarters of the machine's"`
	Disk      string `json:"disk,omitempty" doc:"space of the build's files and its pipeline's caches together, such as 20Gi; default 64Gi"`
	Processes int    `json:"processes,omitempty" doc:"processes and threads at once; default 4096"`
}

// Service is a database that a build gets for itself, empty.
type Service struct {
	Engine  string `json:"engine" doc:"which database: postgres, mysql, mariadb or redis" jsonschema:"enum=postgres,enum=mysql,enum=mariadb,enum=redis"`
	Version string `json:"version,omitempty" doc:"version that is wanted, such as 16: of the image in a Pod; on host the installed one must match"`
	Server  string `json:"server,omitempty" doc:"name of a secret with the URL of a running server, on which a database is created for the build and dropped after it"`
}

// Batch is how the builds of a batch are run.
type Batch struct {
	Combine bool `json:"combine,omitempty" doc:"puts the builds' files into one directory; default a directory of its own for each build"`
}

// The engines of a Service.
const (
	EnginePostgres = "postgres"
	EngineMySQL    = "mysql"
	EngineMariaDB  = "mariadb"
	EngineRedis    = "redis"
)

// Engines are those that a Service may ask for.
func Engines() []string { return []string{EnginePostgres, EngineMySQL, EngineMariaDB, EngineRedis} }

// Kubeconfig is a credential for a cluster that a build gets.
type Kubeconfig struct {
	Cluster        string `json:"cluster,omitempty" doc:"cluster as towline cluster names it, default the server's own"`
	Namespace      string `json:"namespace" jsonschema:"required" doc:"namespace of the service account, and the credential's default one"`
	ServiceAccount string `json:"serviceAccount" jsonschema:"required" doc:"service account whose rights the commands have: a token is asked for it that ends with the build"`
}

// CodeBuild is the configuration of Build/CodeBuild and Test/CodeBuild, in
// CodePipeline's words: a build of a project.
type CodeBuild struct {
	Project       string `json:"ProjectName"`
	PrimarySource string `json:",omitempty"`                     // the input artifact with the buildspec
	Environment   string `json:"EnvironmentVariables,omitempty"` // JSON: [{"name": "A", "value": "b", "type": "PLAINTEXT"}]
	Batch         string `json:"BatchEnabled,omitempty"`         // "true" or "false"
	Combine       string `json:"CombineArtifacts,omitempty"`     // "true" or "false"
}

// Commands is the configuration of Compute/Commands and of Rule/Commands, in
// CodePipeline's words: a build of a few commands.
type Commands struct {
	Commands []string `json:"commands"`
	Exported []string `json:"outputVariables,omitempty"` // whose values later actions may use
	// Environment is set for the commands.
	Environment []EnvironmentVariable `json:"environmentVariables,omitempty"`
	// Files are patterns for the files of each output artifact, by its name.
	Files map[string][]string `json:"files,omitempty"`
}

// EnvironmentVariable is one of Commands.
type EnvironmentVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type,omitempty"` // PLAINTEXT, the default, or SECRETS_MANAGER: Value names a secret then
}

// Lambda is the configuration of Invoke/Lambda and of Rule/LambdaInvoke, in
// CodePipeline's words: a function is given the action as a job, and ends it.
type Lambda struct {
	Function   string `json:"FunctionName"`
	Parameters string `json:"UserParameters,omitempty"` // for the function to read
}

// Image is the configuration of Build/Image: an artifact layered on a base
// image, without a daemon, or a Dockerfile in it built; known by its digest
// afterwards.
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

	Dockerfile string            `json:"dockerfile,omitempty" doc:"path of a Dockerfile, which is built instead; the artifact is by default the source then"`
	Context    string            `json:"context,omitempty" doc:"with dockerfile: directory of the artifact that COPY copies from, default all of it"`
	Target     string            `json:"target,omitempty" doc:"with dockerfile: stage to build, default the last"`
	Args       map[string]string `json:"args,omitempty" doc:"with dockerfile: values of its ARGs; whoever has the image can read them"`
	Secrets    map[string]string `json:"secrets,omitempty" doc:"with dockerfile: what RUN --mount=type=secret,id=ID gets: ID to name of a secret that towline secret keeps; never in the image, hidden in the log"`
	Bases      map[string]string `json:"bases,omitempty" doc:"with dockerfile: OCI layout directories that FROM finds instead of the images of these names: NAME to oci:PATH"`
	NoCache    bool              `json:"noCache,omitempty" doc:"with dockerfile: builds each step anew instead of taking it from an earlier build"`
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
