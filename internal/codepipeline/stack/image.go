package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// image is a container image, which AWS builds with Docker by a Dockerfile that
// says what Towline does without one. It is known by its digest here too.
func (x *exporter) image(path string, s pipeline.Stage, a pipeline.Action) pipeline.Action {
	var i pipeline.Image
	if err := json.Unmarshal(a.Configuration, &i); err != nil {
		x.leftover(path+".configuration", "it cannot be read: %v", err)
	}
	p := project{stage: s.Name, action: a.Name, privileged: true}
	var address any
	login := []string{}
	if strings.ContainsAny(i.Repository, ".:") {
		address = i.Repository
		x.leftover(path+".repository", "the build has no credentials for %s: let its buildspec sign in", i.Repository)
	} else {
		id := x.logical(s.Name, a.Name, "Repository")
		x.resource(id, "AWS::ECR::Repository", object{
			{"ImageTagMutability", "IMMUTABLE"}, {"ImageScanningConfiguration", object{{"ScanOnPush", true}}}, {"EncryptionConfiguration", object{{"EncryptionType", "AES256"}}},
		}, pair{"DeletionPolicy", "Retain"}, pair{"UpdateReplacePolicy", "Retain"})
		address = attr(id + ".RepositoryUri")
		p.permissions = []permission{
			{[]string{"ecr:GetAuthorizationToken"}, list{"*"}},
			{[]string{
				"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
			}, list{attr(id + ".Arn")}},
		}
		login = []string{`aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"`}
	}
	p.environment = map[string]any{"REPOSITORY": address}
	if strings.HasPrefix(i.Base, "oci:") {
		x.leftover(path+".base", "Docker takes no base from an OCI layout: name an image in a registry")
	}
	if len(i.Platforms) > 0 {
		x.leftover(path+".platforms", "the build makes an image of its own platform: choose a BuildImage of the one that is wanted")
	}
	if strings.Contains(string(a.Configuration), "#{") {
		x.leftover(path+".configuration", "CodePipeline fills in no variables in a buildspec")
	}
	before, build := append(slices.Clip(login), `printf '%s\n' `+shellWords(dockerfile(i))+` > /tmp/Dockerfile`), `docker build --file /tmp/Dockerfile --tag "$REPOSITORY:$TAG" .`
	if i.Dockerfile != "" {
		before, build = login, x.dockerBuild(path, i)
	}
	prepared := object{}
	if len(before) > 0 {
		prepared = object{{"pre_build", object{{"commands", before}}}}
	}
	p.buildspec = x.node(object{
		{"version", "0.2"},
		{"env", object{{"exported-variables", []string{"ImageURI", "ImageDigest", "ImageTag"}}}},
		{"phases", append(prepared, pair{"build", object{{"commands", []string{
			// A retry has the same execution, and a tag is for one image.
			`export TAG="$EXECUTION-$CODEBUILD_BUILD_NUMBER"`,
			build,
			`docker push "$REPOSITORY:$TAG"`,
			`export ImageTag="$TAG" ImageURI="$(docker inspect --format '{{index .RepoDigests 0}}' "$REPOSITORY:$TAG")"`,
			`export ImageDigest="${ImageURI#*@}"`,
		}}}})},
	})
	a.Outputs = x.wanted(a.Outputs)
	if i.Artifact != "" && slices.Contains(a.Inputs, i.Artifact) {
		a.Inputs = append([]string{i.Artifact}, slices.DeleteFunc(slices.Clone(a.Inputs), func(n string) bool { return n == i.Artifact })...)
	}
	return x.started(a, x.make(p), map[string]string{"EXECUTION": "#{codepipeline.PipelineExecutionId}"})
}

// dockerBuild is the command that builds the repository's own Dockerfile.
func (x *exporter) dockerBuild(path string, i pipeline.Image) string {
	if len(i.Secrets) > 0 {
		x.leftover(path+".secrets", "let the buildspec fetch them and give them to docker build by --secret")
	}
	if len(i.Bases) > 0 {
		x.leftover(path+".bases", "Docker takes no base from an OCI layout: name an image in a registry")
	}
	words := []string{"--file", i.Dockerfile}
	if i.Target != "" {
		words = append(words, "--target", i.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(i.Args)) {
		words = append(words, "--build-arg", name+"="+i.Args[name])
	}
	context := i.Context
	if context == "" {
		context = "."
	}
	return "docker build " + shellWords(words) + ` --tag "$REPOSITORY:$TAG" ` + shellWords([]string{context})
}

// dockerfile says what Towline's image is.
func dockerfile(i pipeline.Image) []string {
	base, path, user := i.Base, i.Path, i.User
	if base == "" {
		base = "scratch"
	}
	if path == "" {
		path = "/app"
	}
	if user == "" && base == "scratch" {
		user = "65532:65532"
	}
	lines := []string{"FROM " + base, "COPY . " + strings.TrimSuffix(path, "/") + "/"}
	for _, name := range slices.Sorted(maps.Keys(i.Env)) {
		lines = append(lines, fmt.Sprintf("ENV %s=%s", name, strconv.Quote(i.Env[name])))
	}
	for _, port := range i.Ports {
		lines = append(lines, fmt.Sprintf("EXPOSE %d", port))
	}
	if user != "" {
		lines = append(lines, "USER "+user)
	}
	if len(i.Entrypoint) > 0 {
		lines = append(lines, "ENTRYPOINT "+string(encode(i.Entrypoint)))
	}
	return lines
}

// shellWords are texts as words of a shell.
func shellWords(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}
