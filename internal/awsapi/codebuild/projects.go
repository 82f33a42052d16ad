package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
)

// document is an object of an answer, member by member.
type document map[string]json.RawMessage

// documentOf is a value by its JSON tags.
func documentOf(value any) (document, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	d := document{}
	return d, json.Unmarshal(text, &d)
}

// set gives a member a value, unless it is empty.
func (d document) set(name string, value any) {
	text, err := json.Marshal(value)
	if err == nil && string(text) != `""` && string(text) != "null" {
		d[name] = text
	}
}

// orElse gives a member a value that it has none.
func (d document) orElse(name string, value any) {
	if _, there := d[name]; !there {
		d.set(name, value)
	}
}

// at gives a member an instant, unless it is the zero one.
func (d document) at(name string, t time.Time) {
	if !t.IsZero() {
		d[name] = fmt.Appendf(nil, "%d.%03d", t.Unix(), t.Nanosecond()/1e6)
	}
}

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
	doc.set("arn", c.ARN("project/"+p.Definition.Name))
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

// projectName is the name in the ARN of a project, or what was given.
func projectName(given string) string {
	if strings.HasPrefix(given, "arn:") {
		_, name, _ := strings.Cut(given, ":project/")
		return name
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
	out := &projectsOutput{Projects: []document{}, ProjectsNotFound: []string{}}
	for _, given := range in.Names {
		p, err := s.Projects.Project(ctx, projectName(given))
		if errors.Is(err, project.ErrNotFound) {
			out.ProjectsNotFound = append(out.ProjectsNotFound, given)
			continue
		}
		if err != nil {
			return nil, err
		}
		doc, err := projectDocument(c, p)
		if err != nil {
			return nil, err
		}
		out.Projects = append(out.Projects, doc)
	}
	return out, nil
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
