package definition

import (
	"encoding/json"

	"github.com/towline/towline/internal/pipeline"
)

// The shapes of towline.yaml. The doc tags become the descriptions in the JSON
// Schema; the types of form.go are those that may be written in several ways.

// file is a towline.yaml.
type file struct {
	Pipeline  string           `json:"pipeline" jsonschema:"required" doc:"name of the pipeline: letters, digits and . _ - @"`
	Mode      string           `json:"mode,omitempty" doc:"what becomes of executions that meet: superseded (default) lets the newest that waits for a stage take the place of the older ones, queued lets each wait for its turn, parallel runs them without regard to each other" jsonschema:"enum=superseded,enum=queued,enum=parallel"`
	Variables variables        `json:"variables,omitempty" doc:"values that each execution may set for itself, used as #{variables.NAME}: NAME: DEFAULT, or NAME: {default, description}; one without a default must be given at the start"`
	On        *on              `json:"on,omitempty" doc:"what starts an execution, default a push to main, or to the branch of a source; what is not named here starts none, so that on: {} leaves it to people"`
	Stages    []stage          `json:"stages" jsonschema:"required" doc:"the stages in their order; unless the first one has source actions, a stage Source with the action push comes before them by itself"`
	AWS       pipeline.Foreign `json:"aws,omitempty" doc:"members of CodePipeline's definition that Towline has no use for, kept for the way back"`
}

type on struct {
	Push        oneOrMany[push]        `json:"push,omitempty" doc:"pushes that start an execution; of several filters, one is enough"`
	PullRequest oneOrMany[pullRequest] `json:"pullRequest,omitempty" doc:"what happens to pull requests and starts an execution"`
	Schedule    oneOrMany[schedule]    `json:"schedule,omitempty" doc:"times at which an execution of the newest revision starts"`
}

type push struct {
	Source   string   `json:"source,omitempty" doc:"source action whose repository is meant, default the first"`
	Branches []string `json:"branches,omitempty" doc:"branches by name or glob; one that begins with ! is left out, whatever else it matches"`
	Tags     []string `json:"tags,omitempty" doc:"tags, in the same way; pushes of branches start nothing when there are tags alone"`
	Paths    []string `json:"paths,omitempty" doc:"files of which at least one must have changed, in the same way, such as src/**"`
}

type pullRequest struct {
	Source   string   `json:"source,omitempty" doc:"source action whose repository is meant, default the first"`
	Events   []string `json:"events,omitempty" doc:"which of open, updated, closed; default all" jsonschema:"enum=open,enum=updated,enum=closed"`
	Branches []string `json:"branches,omitempty" doc:"branches to merge into, by name or glob; one that begins with ! is left out"`
	Paths    []string `json:"paths,omitempty" doc:"files of which at least one must have changed, in the same way"`
}

type schedule struct {
	Cron     string `json:"cron" jsonschema:"required" doc:"minute, hour, day of the month, the month, day of the week, as in crontab: 0 6 * * 1-5 is every working day at six"`
	TimeZone string `json:"timeZone,omitempty" doc:"time zone of cron, such as Europe/Berlin; default UTC"`
}

type stage struct {
	Name        string           `json:"name" jsonschema:"required" doc:"name of the stage: letters, digits and . _ - @"`
	BeforeEntry *condition       `json:"beforeEntry,omitempty" doc:"condition of entering the stage"`
	Parallel    bool             `json:"parallel,omitempty" doc:"true runs all actions of the stage together"`
	Actions     []action         `json:"actions" jsonschema:"required" doc:"the actions; they run one after the other unless parallel or runOrder says otherwise"`
	OnSuccess   *condition       `json:"onSuccess,omitempty" doc:"condition of leaving the stage once its actions have succeeded"`
	OnFailure   *onFailure       `json:"onFailure,omitempty" doc:"what is done when an action has failed: rollback does again what last did well in this stage, retry tries it once more"`
	AWS         pipeline.Foreign `json:"aws,omitempty" doc:"members of CodePipeline's stage that Towline has no use for"`
}

// condition is met when all of its rules succeed.
type condition struct {
	Else  string `json:"else,omitempty" doc:"what is done when a rule does not succeed: fail (default) the stage; before entry skip it; on success rollback"`
	Rules []rule `json:"rules,omitempty" doc:"up to 5 rules, asked together; all of them must succeed"`
}

// failure is the long form of onFailure.
type failure struct {
	Else  string `json:"else,omitempty" doc:"what is done, with rules when one of them does not succeed: rollback, retry, fail or skip" jsonschema:"enum=rollback,enum=retry,enum=fail,enum=skip"`
	Retry string `json:"retry,omitempty" doc:"tries the stage once more: its failed actions, or all" jsonschema:"enum=failed,enum=all"`
	Rules []rule `json:"rules,omitempty" doc:"up to 5 rules; nothing is done when all of them succeed"`
}

// rule is exactly one key that says what is asked, and what any rule may have.
type rule struct {
	Name     string           `json:"name,omitempty" doc:"name of the rule, default its key"`
	Inputs   []string         `json:"inputs,omitempty" doc:"artifacts that the rule gets"`
	Timeout  minutes          `json:"timeout,omitempty" doc:"longest the rule may take, such as 30m or 8h; a number counts minutes"`
	Variable *variableRule    `json:"variable,omitempty" doc:"compares a variable"`
	Window   *windowRule      `json:"window,omitempty" doc:"waits until a time at which deployments are allowed"`
	Commands []string         `json:"commands,omitempty" doc:"shell commands, which must succeed"`
	Invoke   *invoke          `json:"invoke,omitempty" doc:"calls a function"`
	Rule     *genericRule     `json:"rule,omitempty" doc:"any other rule of CodePipeline"`
	AWS      pipeline.Foreign `json:"aws,omitempty" doc:"members of CodePipeline's rule that Towline has no use for"`
}

type variableRule struct {
	Name     string `json:"name" jsonschema:"required" doc:"the variable, such as #{variables.environment}"`
	Operator string `json:"operator,omitempty" doc:"how it is compared: equals (default), notEquals, contains, or matches for a regular expression of the whole value" jsonschema:"enum=equals,enum=notEquals,enum=contains,enum=matches"`
	Value    string `json:"value" jsonschema:"required" doc:"what it is compared with"`
}

type windowRule struct {
	Cron     string `json:"cron" jsonschema:"required" doc:"the minutes in which the window is open, as in crontab: * 9-17 * * MON-FRI; or in CodePipeline's form with seconds before them and ? for one of the days"`
	TimeZone string `json:"timeZone,omitempty" doc:"time zone of cron, such as Europe/Berlin; default UTC"`
}

type invoke struct {
	Function   string `json:"function" jsonschema:"required" doc:"name of the function"`
	Parameters string `json:"parameters,omitempty" doc:"text that the function gets"`
}

type genericRule struct {
	Owner         *string         `json:"owner,omitempty" doc:"default AWS"`
	Provider      string          `json:"provider" jsonschema:"required" doc:"such as CloudWatchAlarm"`
	Version       *string         `json:"version,omitempty" doc:"default 1, in quotes"`
	Configuration json.RawMessage `json:"configuration,omitempty" jsonschema:"type=object" doc:"as CodePipeline's reference of the rule says"`
}

// action is a name and exactly one key that says what it does.
type action struct {
	Name      string           `json:"name" jsonschema:"required" doc:"name of the action, unique in its stage; its variables are #{name.Variable}"`
	RunOrder  int              `json:"runOrder,omitempty" doc:"actions with the same number run together, lower ones first"`
	Namespace string           `json:"namespace,omitempty" doc:"under which the action's variables are found, default its name"`
	Inputs    []string         `json:"inputs,omitempty" doc:"artifacts that the action gets, default the source, for images the one made last, and for functions none"`
	Outputs   []string         `json:"outputs,omitempty" doc:"name of the artifact that the action makes, default the action's name"`
	Timeout   minutes          `json:"timeout,omitempty" doc:"longest the action may take, such as 20m or 2h; a number counts minutes. Approvals wait 7 days by default"`
	Source    *sourceFrom      `json:"source,omitempty" doc:"fetches the source, in a first stage that the file writes itself: for a source that is not the repository of the file"`
	Build     *pipeline.Build  `json:"build,omitempty" doc:"runs a buildspec: tests, packaging, any command"`
	Image     *pipeline.Image  `json:"image,omitempty" doc:"makes a container image of an artifact and pushes it"`
	Deploy    *pipeline.Deploy `json:"deploy,omitempty" doc:"brings manifests to a Kubernetes cluster and waits until they serve"`
	Invoke    *invoke          `json:"invoke,omitempty" doc:"gives the action to a function, which does and ends it"`
	Approve   *approve         `json:"approve,omitempty" doc:"waits until a person approves or rejects"`
	Action    *genericAction   `json:"action,omitempty" doc:"any other action of CodePipeline, and custom actions for workers of your own"`
	AWS       pipeline.Foreign `json:"aws,omitempty" doc:"members of CodePipeline's action that Towline has no use for, such as region and roleArn"`
}

// sourceFrom is exactly one of its first four.
type sourceFrom struct {
	Repository string    `json:"repository,omitempty" doc:"repository on Towline's git server"`
	Git        string    `json:"git,omitempty" doc:"URL of a repository elsewhere, without credentials"`
	S3         *s3Object `json:"s3,omitempty" doc:"object in S3 or what speaks its API"`
	Image      string    `json:"image,omitempty" doc:"image in a registry, such as ghcr.io/acme/base:17"`
	Branch     string    `json:"branch,omitempty" doc:"with git: branch that is followed, default the repository's own default"`
}

type s3Object struct {
	Bucket string `json:"bucket" jsonschema:"required" doc:"name of the bucket"`
	Key    string `json:"key" jsonschema:"required" doc:"key of the object, such as release/web.zip"`
}

type approve struct {
	Message string `json:"message,omitempty" doc:"what is to be decided; may refer to variables"`
	Link    string `json:"link,omitempty" doc:"URL to look at first"`
	Topic   string `json:"topic,omitempty" doc:"ARN of an SNS topic, kept for CodePipeline"`
}

type genericAction struct {
	Category      string          `json:"category" jsonschema:"required,enum=Source,enum=Build,enum=Test,enum=Deploy,enum=Invoke,enum=Approval,enum=Compute" doc:"what kind of work it is"`
	Owner         *string         `json:"owner,omitempty" doc:"AWS (default), ThirdParty, Custom for your own workers, or Towline"`
	Provider      string          `json:"provider" jsonschema:"required" doc:"such as CodeBuild"`
	Version       *string         `json:"version,omitempty" doc:"default 1, in quotes"`
	Configuration json.RawMessage `json:"configuration,omitempty" jsonschema:"type=object" doc:"as CodePipeline's reference of the action says"`
}
