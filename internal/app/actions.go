package app

import (
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/rule"
	"github.com/towline/towline/internal/source"
)

// actions is the main job, in the order of its flow: what each kind of action
// in a pipeline does, and with what.
//
//	git push ─▶ Source ─▶ Build (test) ─▶ Build (package) ─▶ Image ─▶ Deploy ─▶ verdict
func (a *App) actions() map[kind]engine.Action {
	return map[kind]engine.Action{
		// A commit becomes an artifact: its files.
		{pipeline.CategorySource, "Git"}:                      source.Action{Repositories: a.repositories, Artifacts: a.artifacts},
		{pipeline.CategorySource, "CodeCommit"}:               source.Action{Repositories: a.repositories, Artifacts: a.artifacts},
		{pipeline.CategorySource, "CodeStarSourceConnection"}: source.Action{Repositories: a.repositories, Artifacts: a.artifacts},

		// So does an object of S3, or what there is to know of an image.
		{pipeline.CategorySource, "S3"}:    a.objects,
		{pipeline.CategorySource, "Image"}: a.images(),
		{pipeline.CategorySource, "ECR"}:   a.images(),

		// The files are tested, against a real database if they ask for one,
		// and packaged: an artifact again.
		{pipeline.CategoryBuild, "Buildspec"}:  a.builds(""),
		{pipeline.CategoryCompute, "Commands"}: build.Commands{Action: a.builds("")},

		// Or a project says how, of which the action is a build.
		{pipeline.CategoryBuild, "CodeBuild"}: builder.PipelineAction{Builder: a.builder},
		{pipeline.CategoryTest, "CodeBuild"}:  builder.PipelineAction{Builder: a.builder},

		// The package becomes an image in a registry, known by its digest, and
		// how it was made is attested.
		{pipeline.CategoryBuild, "Image"}: &image.Action{
			Artifacts: a.artifacts, Registry: a.imageRegistry(), Attestor: a.attestor(), Dockerfiles: a.dockerfiles, Secrets: imageSecrets{a.secrets},
		},

		// The image becomes a running release, and what was lost is counted.
		{pipeline.CategoryDeploy, "Kubernetes"}: &deploy.Action{
			Artifacts: a.artifacts, Connect: a.cluster, Ancestry: a.ancestry, Config: a.deployments(),
		},

		// A function does with the artifacts whatever it does, and says how it went.
		{pipeline.CategoryInvoke, "Lambda"}: a.invoke(),

		// What the conditions of a stage ask, before, between and after.
		{pipeline.CategoryRule, "VariableCheck"}:    rule.VariableCheck{},
		{pipeline.CategoryRule, "DeploymentWindow"}: rule.DeploymentWindow{Now: time.Now},
		{pipeline.CategoryRule, "LambdaInvoke"}:     a.invoke(),
		{pipeline.CategoryRule, "Commands"}:         build.Commands{Action: a.builds("")},
	}
}

// kind is what tells one kind of action from another.
type kind struct {
	category pipeline.Category
	provider string
}
