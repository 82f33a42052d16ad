package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
)

// described is a definition with what CodeBuild fills in.
func described(c wire.Call, d project.Definition) (document, error) {
	doc, err := documentOf(d)
	if err != nil {
		return nil, err
	}
	delete(doc, "badgeEnabled")
	doc.orElse("timeoutInMinutes", 60)
	doc.orElse("queuedTimeoutInMinutes", 480)
	doc.orElse("cache", map[string]string{"type": "NO_CACHE"})
	doc.orElse("encryptionKey", fmt.Sprintf("arn:aws:kms:%s:%s:alias/aws/s3", c.Region, c.Account))
	environment, err := documentOf(d.Environment)
	if err != nil {
		return nil, err
	}
	environment.orElse("environmentVariables", []string{})
	environment.orElse("privilegedMode", false)
	environment.orElse("imagePullCredentialsType", "CODEBUILD")
	doc.set("environment", environment)
	return doc, nil
}

func projectDocument(c wire.Call, p project.Project) (document, error) {
	doc, err := described(c, p.Definition)
	if err != nil {
		return nil, err
	}
	doc.set("arn", c.ARN(projectPrefix+p.Definition.Name))
	doc.at("created", p.Created)
	doc.at("lastModified", p.Updated)
	doc.set("badge", map[string]bool{"badgeEnabled": p.Definition.Badge})
	doc.set("projectVisibility", "PRIVATE")
	doc.orElse("tags", []string{})
	return doc, nil
}

type projectOutput struct{ Project document }

func (s *service) createProject(ctx context.Context, c wire.Call, in project.Definition) (*projectOutput, error) {
	return made(c)(s.Projects.Create(ctx, in))
}

func (s *service) updateProject(ctx context.Context, c wire.Call, in map[string]json.RawMessage) (*projectOutput, error) {
	var name string
	if err := json.Unmarshal(in["name"], &name); err != nil {
		return nil, err
	}
	return made(c)(s.Projects.Update(ctx, projectName(name), in))
}

func made(c wire.Call) func(project.Project, error) (*projectOutput, error) {
	return func(p project.Project, err error) (*projectOutput, error) {
		if err != nil {
			return nil, err
		}
		doc, err := projectDocument(c, p)
		return &projectOutput{doc}, err
	}
}

type nameInput struct {
	Name string `json:"name"`
}

type nothing struct{}

// deleteProject is content with a project that is gone already, as AWS is.
func (s *service) deleteProject(ctx context.Context, _ wire.Call, in nameInput) (*nothing, error) {
	if err := s.Projects.Delete(ctx, projectName(in.Name)); !errors.Is(err, project.ErrNotFound) {
		return &nothing{}, err
	}
	return &nothing{}, nil
}

// projectPrefix begins the name of a project in its ARN.
const projectPrefix = "project/"

// projectName is the name in the ARN of a project, or what was given.
func projectName(given string) string { return named(projectPrefix, given) }

// named is what an ARN names behind a prefix, or what was given.
func named(prefix, given string) string {
	if strings.HasPrefix(given, "arn:") {
		_, given, _ = strings.Cut(given, ":"+prefix)
	}
	return given
}

type namesInput struct {
	Names []string `json:"names"`
}

type projectsOutput struct {
	Projects         []document
	ProjectsNotFound []string
}

func (s *service) batchGetProjects(ctx context.Context, c wire.Call, in namesInput) (*projectsOutput, error) {
	found, missing, err := documents(in.Names, func(given string) (document, error) {
		p, err := s.Projects.Project(ctx, projectName(given))
		if err != nil {
			return nil, err
		}
		return projectDocument(c, p)
	})
	return &projectsOutput{found, missing}, err
}

type listProjectsInput struct {
	SortBy    string `json:"sortBy"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
}

type namesOutput struct {
	Projects  []string
	NextToken string
}

func (s *service) listProjects(ctx context.Context, c wire.Call, in listProjectsInput) (*namesOutput, error) {
	all, err := s.Projects.Projects(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := inMemory(s, asked{wire.List(c.Operation, in.SortBy, in.SortOrder), in.NextToken, pageSize, in.SortOrder}, all, func(p project.Project) string {
		return byTime(in.SortBy, p.Definition.Name, p.Created, p.Updated)
	})
	if err != nil {
		return nil, err
	}
	out := &namesOutput{Projects: []string{}, NextToken: next}
	for _, p := range page {
		out.Projects = append(out.Projects, p.Definition.Name)
	}
	return out, nil
}
