package build

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// Account is where builds run, in AWS's terms: what stands in their ARNs.
type Account struct {
	Region string // "" is us-east-1
	ID     string // "" is 000000000000
}

func (a Account) orDefault() Account {
	return Account{Region: cmp.Or(a.Region, "us-east-1"), ID: cmp.Or(a.ID, "000000000000")}
}

// reservedPrefix begins the names of variables that a build cannot set.
const reservedPrefix = "CODEBUILD_"

// environment is CodeBuild's environment of a build as far as it has a meaning
// here. The prefix CODEBUILD_ is reserved, so these win over the buildspec's,
// which wins over the others.
func environment(r request) map[string]string {
	job, id := r.job, r.job.Pipeline+":"+r.job.Key()
	env := map[string]string{
		"CI": "true", "AWS_REGION": r.account.Region, "AWS_DEFAULT_REGION": r.account.Region,
	}
	for name, value := range r.spec.Env.Variables {
		if !strings.HasPrefix(name, reservedPrefix) {
			env[name] = value
		}
	}
	maps.Copy(env, map[string]string{
		"TOWLINE_PIPELINE":                  job.Pipeline,
		"TOWLINE_EXECUTION":                 job.Execution,
		"CODEBUILD_BUILD_ARN":               "arn:aws:codebuild:" + r.account.Region + ":" + r.account.ID + ":build/" + id,
		"CODEBUILD_BUILD_ID":                id,
		"CODEBUILD_BUILD_NUMBER":            strconv.Itoa(job.Number),
		"CODEBUILD_BUILD_SUCCEEDING":        "1",
		"CODEBUILD_INITIATOR":               "codepipeline/" + job.Pipeline,
		"CODEBUILD_LOG_PATH":                job.Key(),
		"CODEBUILD_RESOLVED_SOURCE_VERSION": job.Revision.Commit,
		"CODEBUILD_SOURCE_VERSION":          cmp.Or(job.Revision.Commit, job.Revision.Branch),
		"CODEBUILD_SOURCE_REPO_URL":         job.Revision.Repository,
		"CODEBUILD_START_TIME":              strconv.FormatInt(r.started.UnixMilli(), 10),
	})
	if r.config.Pod != nil && r.config.Pod.Image != "" {
		env["CODEBUILD_BUILD_IMAGE"] = r.config.Pod.Image
	}
	if r.label != "" {
		env["CODEBUILD_BATCH_BUILD_IDENTIFIER"] = r.label
	}
	maps.Copy(env, webhook(job))
	return env
}

// webhook are the variables that tell what has changed in the repository. Where
// nothing has told of a change they are of the revision that the execution has.
func webhook(job pipeline.Job) map[string]string {
	var change pipeline.SourceChange
	switch revision := job.Revision; {
	case job.Trigger.Source != nil:
		change = *job.Trigger.Source
	case revision.Tag != "":
		change.Head = "refs/tags/" + revision.Tag
	case revision.Branch != "":
		change.Head = "refs/heads/" + revision.Branch
	default:
		return nil
	}
	env := map[string]string{"CODEBUILD_WEBHOOK_TRIGGER": change.Words()}
	for name, value := range map[string]string{
		"EVENT": change.Event, "HEAD_REF": change.Head, "BASE_REF": change.Base, "PREV_COMMIT": change.Previous,
		"ACTOR_ACCOUNT_ID": change.Actor, "MERGE_COMMIT": change.Merge,
	} {
		if value != "" {
			env["CODEBUILD_WEBHOOK_"+name] = value
		}
	}
	return env
}
