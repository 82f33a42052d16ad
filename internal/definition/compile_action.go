package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// The owners of types of actions and rules.
const (
	ownerTowline = "Towline"
	ownerAWS     = "AWS"
)

func towline(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: ownerTowline, Provider: provider, Version: "1"}
}

func aws(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: ownerAWS, Provider: provider, Version: "1"}
}

func (a action) isSource() bool {
	return a.Source != nil || a.Action != nil && a.Action.Category == string(pipeline.CategorySource)
}

// kinds are the keys that say what the action does. There should be one.
func (a action) kinds() []string {
	var kinds []string
	for kind, given := range map[string]bool{
		"build": a.Build != nil, "image": a.Image != nil, "deploy": a.Deploy != nil, "invoke": a.Invoke != nil, "approve": a.Approve != nil,
		"source": a.Source != nil, "action": a.Action != nil,
	} {
		if given {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// action compiles an action by what is known, and adds to after what is known
// once it has run.
func (c *compiler) action(a action, at string, after *scope) pipeline.Action {
	out := pipeline.Action{
		Name: a.Name, Namespace: a.Namespace, Inputs: a.Inputs, Outputs: a.Outputs, Foreign: foreign(a.AWS),
		Timeout: c.minutes(at+".timeout", a.Timeout),
	}
	kinds := a.kinds()
	switch len(kinds) {
	case 0:
		c.problem(at, "add one of build, image, deploy, invoke, approve, source, action", "action %q does not say what it does", a.Name)
	case 1:
		here := at + "." + kinds[0]
		c.work(a, here, &out)
		if a.Action != nil {
			here += ".configuration"
		}
		c.references(here, out.Configuration)
		after.artifacts = append(after.artifacts, out.Outputs...)
	default:
		c.problem(at, "make an action of each", "action %q does %s at once", a.Name, strings.Join(kinds, " and "))
	}
	after.namespaces = append(after.namespaces, a.namespace())
	return out
}

func (a action) namespace() string {
	if a.Namespace != "" {
		return a.Namespace
	}
	return a.Name
}

// work fills in what the action does.
func (c *compiler) work(a action, at string, out *pipeline.Action) {
	switch {
	case a.Build != nil:
		out.Type = towline(pipeline.CategoryBuild, "Buildspec")
		c.build(a, at, out)
	case a.Image != nil:
		out.Type = towline(pipeline.CategoryBuild, "Image")
		c.image(a, at, out)
	case a.Deploy != nil:
		out.Type = towline(pipeline.CategoryDeploy, "Kubernetes")
		c.deploy(a, at, out)
	case a.Invoke != nil:
		out.Type = aws(pipeline.CategoryInvoke, "Lambda")
		out.Configuration = c.invoke(at, *a.Invoke, "action")
	case a.Approve != nil:
		out.Type = aws(pipeline.CategoryApproval, "Manual")
		c.approve(a, out)
	case a.Source != nil:
		c.fetch(a, at, out)
	case a.Action != nil:
		out.Type, out.Configuration = c.generic(at, *a.Action)
	}
}

// fromSource lets an action that says nothing else have the source.
func (c *compiler) fromSource(out *pipeline.Action) {
	if len(out.Inputs) == 0 {
		out.Inputs = []string{c.source}
	}
}

// namedOutput lets an action that says nothing else make one artifact of its
// own name.
func (c *compiler) namedOutput(a action, out *pipeline.Action) {
	if len(out.Outputs) == 0 && a.Name != "" {
		out.Outputs = []string{a.Name}
	}
}

// invoke is what a function is called with, by an action or a rule.
func (c *compiler) invoke(at string, i invoke, who string) json.RawMessage {
	if i.Function == "" {
		c.problem(at, "write invoke: {function: NAME}", "the %s names no function", who)
	}
	return encode(pipeline.Lambda{Function: i.Function, Parameters: i.Parameters})
}

func (c *compiler) build(a action, at string, out *pipeline.Action) {
	b := *a.Build
	if b.Buildspec != "" && len(b.Commands) > 0 {
		c.problem(at, "keep one of them", "both buildspec and commands are given")
	}
	if len(b.Commands) == 0 && len(b.Artifacts)+len(b.Reports) > 0 {
		c.problem(at, "list them in the buildspec file, or add commands", "artifacts and reports go with commands")
	}
	if b.Pod != nil && b.Compute == pipeline.ComputeHost {
		c.problem(at+".pod", "take it away, or write compute: pod", "the build runs on the host, which has no pod")
	}
	c.limits(at+".limits", b)
	if b.Kubeconfig != nil && (b.Kubeconfig.Namespace == "" || b.Kubeconfig.ServiceAccount == "") {
		c.problem(at+".kubeconfig", "write kubeconfig: {namespace: web, serviceAccount: deployer}", "the credential has no namespace or no service account")
	}
	for _, name := range slices.Sorted(maps.Keys(b.Services)) {
		if engine := b.Services[name].Engine; !slices.Contains(pipeline.Engines(), engine) {
			c.problem(fmt.Sprintf("%s.services.%s.engine", at, name), "the engines are "+strings.Join(pipeline.Engines(), ", "), "service %q asks for engine %q", name, engine)
		}
	}
	c.duration(at+".timeout", b.Timeout)
	c.fromSource(out)
	c.namedOutput(a, out)
	out.Configuration = encode(b)
}

// limits checks what a build on the host may use.
func (c *compiler) limits(at string, b pipeline.Build) {
	if b.Limits == nil {
		return
	}
	if b.Compute == pipeline.ComputePod || b.Compute == "" && b.Pod != nil {
		c.problem(at, "take it away, and write pod: {memory: 2Gi}", "limits are those of builds on the host, and this one runs in a pod")
	}
	for _, size := range []struct{ name, text string }{{"memory", b.Limits.Memory}, {"disk", b.Limits.Disk}} {
		if _, err := pipeline.ParseSize(size.text); size.text != "" && err != nil {
			c.problem(at+"."+size.name, "write a size such as 2Gi", "%v", err)
		}
	}
	if b.Limits.Processes < 0 {
		c.problem(at+".processes", "write a number such as 500", "a build cannot have %d processes", b.Limits.Processes)
	}
}

func (c *compiler) image(a action, at string, out *pipeline.Action) {
	i := *a.Image
	if i.Repository == "" {
		c.problem(at, "add a repository, such as the pipeline's name", "the image has no repository")
	}
	c.dockerfile(at, i)
	switch {
	case i.Artifact != "":
	case i.Dockerfile != "":
		i.Artifact = c.source
	case len(c.known.artifacts) > 0:
		i.Artifact = c.known.artifacts[len(c.known.artifacts)-1]
	}
	if len(out.Inputs) == 0 {
		out.Inputs = []string{i.Artifact}
	}
	out.Configuration = encode(i)
}

func (c *compiler) deploy(a action, at string, out *pipeline.Action) {
	d := *a.Deploy
	if d.Strategy == "" {
		d.Strategy = pipeline.Rolling
	}
	for _, problem := range d.Problems() {
		c.problem(at+"."+problem.Path, problem.Hint, "%s", problem.Message)
	}
	if d.App == "" && c.pipeline != "" && !appName.MatchString(c.pipeline) {
		c.problem(at, "add app: NAME, up to 40 lower-case letters, digits and dashes", "the cluster cannot call the application %q, as the pipeline is called", c.pipeline)
	}
	c.fromSource(out)
	out.Configuration = encode(d)
}

func (c *compiler) approve(a action, out *pipeline.Action) {
	if q := *a.Approve; q != (approve{}) {
		out.Configuration = encode(pipeline.Approval{Message: q.Message, Link: q.Link, Topic: q.Topic})
	}
}

func (c *compiler) fetch(a action, at string, out *pipeline.Action) {
	s := *a.Source
	var kinds []string
	if s.Repository != "" {
		kinds = append(kinds, "repository")
		out.Type = towline(pipeline.CategorySource, "Git")
		out.Configuration = encode(pipeline.Source{Repository: s.Repository})
	}
	if s.Git != "" {
		kinds = append(kinds, "git")
		out.Type = towline(pipeline.CategorySource, "Git")
		out.Configuration = encode(pipeline.Source{URL: s.Git, Branch: s.Branch})
		c.remote(at+".git", s.Git)
	}
	if s.S3 != nil {
		kinds = append(kinds, "s3")
		out.Type = aws(pipeline.CategorySource, "S3")
		out.Configuration = encode(pipeline.S3Source{Bucket: s.S3.Bucket, Key: s.S3.Key})
		if s.S3.Bucket == "" || s.S3.Key == "" {
			c.problem(at+".s3", "write s3: {bucket: NAME, key: KEY}", "the object has no bucket or no key")
		}
	}
	if s.Image != "" {
		kinds = append(kinds, "image")
		out.Type = towline(pipeline.CategorySource, "Image")
		out.Configuration = encode(pipeline.ImageSource{Image: s.Image})
	}
	switch {
	case len(kinds) == 0:
		c.problem(at, "add one of repository, git, s3, image", "the source does not say where it is")
	case len(kinds) > 1:
		c.problem(at, "make an action of each", "the source is in %s at once", strings.Join(kinds, " and "))
	case s.Branch != "" && s.Git == "":
		c.problem(at+".branch", "say under on which branches matter", "branch goes with git")
	}
	c.namedOutput(a, out)
}

// remoteURL is a URL of git's: https, http, git, ssh or the short form of ssh. What it may
// be in full is for who fetches it to say.
var remoteURL = regexp.MustCompile(`^((?:https?|git)://[^/@]+/.+|ssh://[^/:]+(:[0-9]+)?/.+|[^/@:]+@[^/:]+:.+)$`)

func (c *compiler) remote(at, url string) {
	if !remoteURL.MatchString(url) {
		c.problem(at, "write it like https://github.com/acme/web.git, and give credentials to the server, not to the file", "%q is not the URL of a repository", url)
	}
}

// generic is a type and a configuration that Towline has no key for.
func (c *compiler) generic(at string, g genericAction) (pipeline.ActionType, json.RawMessage) {
	categories := []meaning[pipeline.Category]{
		{"Source", pipeline.CategorySource}, {"Build", pipeline.CategoryBuild}, {"Test", pipeline.CategoryTest}, {"Deploy", pipeline.CategoryDeploy},
		{"Invoke", pipeline.CategoryInvoke}, {"Approval", pipeline.CategoryApproval}, {"Compute", pipeline.CategoryCompute},
	}
	if g.Category == "" {
		c.problem(at, "add a category, such as Build", "the action has no category")
	}
	return c.typed(at, pick(c, at+".category", g.Category, categories), genericRule{g.Owner, g.Provider, g.Version, g.Configuration})
}

func (c *compiler) typed(at string, category pipeline.Category, g genericRule) (pipeline.ActionType, json.RawMessage) {
	if g.Provider == "" {
		c.problem(at, "add a provider, such as CodeBuild", "it has no provider")
	}
	t := pipeline.ActionType{Category: category, Owner: ownerAWS, Provider: g.Provider, Version: "1"}
	if g.Owner != nil {
		t.Owner = *g.Owner
	}
	if g.Version != nil {
		t.Version = *g.Version
	}
	owners := []meaning[string]{{ownerAWS, ownerAWS}, {"ThirdParty", "ThirdParty"}, {"Custom", "Custom"}, {ownerTowline, ownerTowline}}
	pick(c, at+".owner", t.Owner, owners)
	if len(g.Configuration) == 0 {
		return t, nil
	}
	if !bytes.HasPrefix(g.Configuration, []byte("{")) {
		c.problem(at+".configuration", "write it as NAME: VALUE", "the configuration is no mapping")
	}
	return t, encode(g.Configuration)
}

func (c *compiler) duration(at, text string) {
	if text == "" {
		return
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 {
		c.problem(at, "write it like 90s, 20m or 1h30m", "%q is not a duration", text)
	}
}

func (c *compiler) minutes(at string, m minutes) int {
	count, ok := m.count()
	if !ok {
		c.problem(at, "write whole minutes, like 20m, 2h or 20, up to 60 days", "%q is not a time that an action may take", string(m))
	}
	return count
}
