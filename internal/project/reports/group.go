package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Group is a group of reports: those of one name of a project's builds, or
// those that name it.
type Group struct {
	Name    string
	Kind    Kind
	Export  json.RawMessage // exportConfig in CodeBuild's form: nothing is exported
	Tags    []project.Tag
	Created time.Time
	Updated time.Time
}

// groupDefinition is what the store keeps of a group as it came.
type groupDefinition struct {
	Export json.RawMessage `json:"exportConfig,omitempty"`
	Tags   []project.Tag   `json:"tags,omitempty"`
}

var groupForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,127}$`)

// CreateGroup keeps a new group. The error is a *project.Error of the kind
// ErrInvalid or ErrExists when it is the caller's.
func (s *Shelf) CreateGroup(ctx context.Context, g Group) (Group, error) {
	switch {
	case !groupForm.MatchString(g.Name):
		return Group{}, project.Refuse(project.ErrInvalid, "report group name %.160q: take 2 to 128 letters, digits, dashes and underscores, a letter or a digit first", g.Name)
	case project.CheckTags(g.Tags) != "":
		return Group{}, project.Refuse(project.ErrInvalid, "report group %s: %s", g.Name, project.CheckTags(g.Tags))
	}
	if err := checkExport(g.Name, g.Export); err != nil {
		return Group{}, err
	}
	g.Created = s.Now()
	g.Updated = g.Created
	err := s.Store.Update(ctx, func(q store.Querier) error {
		kept, err := g.stored()
		if err != nil {
			return err
		}
		return store.AddReportGroup(ctx, q, kept)
	})
	if errors.Is(err, store.ErrExists) {
		return Group{}, project.Refuse(project.ErrExists, "there is a report group %q already: change it, or choose another name", g.Name)
	}
	return g, err
}

// checkExport refuses an exportConfig that asks for what is not done: the files
// of a report are gone with their build.
func checkExport(name string, export json.RawMessage) error {
	var config struct {
		Type string `json:"exportConfigType"`
	}
	if export != nil {
		if err := json.Unmarshal(export, &config); err != nil {
			return project.Refuse(project.ErrInvalid, "report group %s: exportConfig: %v", name, err)
		}
	}
	if config.Type != "" && config.Type != "NO_EXPORT" {
		return project.Refuse(project.ErrInvalid, "report group %s: exportConfig.exportConfigType: reports are not exported to %.20s here: take NO_EXPORT, and list the files of the report under artifacts in the buildspec", name, config.Type)
	}
	return nil
}

// UpdateGroup gives a group another export and other tags, those that are
// given. The error is a *project.Error of the kind ErrNotFound when there is
// no such group.
func (s *Shelf) UpdateGroup(ctx context.Context, name string, export json.RawMessage, tags []project.Tag) (g Group, err error) {
	if err := checkExport(name, export); err != nil {
		return Group{}, err
	}
	if wrong := project.CheckTags(tags); wrong != "" {
		return Group{}, project.Refuse(project.ErrInvalid, "report group %s: %s", name, wrong)
	}
	err = s.Store.Update(ctx, func(q store.Querier) error {
		kept, err := store.GetReportGroup(ctx, q, name)
		if err != nil {
			return err
		}
		if g, err = readGroup(kept); err != nil {
			return err
		}
		if export != nil {
			g.Export = export
		}
		if tags != nil {
			g.Tags = tags
		}
		g.Updated = s.Now()
		if kept, err = g.stored(); err != nil {
			return err
		}
		return store.SetReportGroup(ctx, q, kept)
	})
	return g, noGroup(name, err)
}

// DeleteGroup forgets a group, which must have no reports unless they go with
// it. The error is a *project.Error of the kind ErrNotFound or ErrInvalid when
// it is the caller's.
func (s *Shelf) DeleteGroup(ctx context.Context, name string, reports bool) error {
	err := s.Store.Update(ctx, func(q store.Querier) error {
		if !reports {
			left, err := store.GetFiledReports(ctx, q, Filter{Group: name, Limit: 1})
			if err != nil {
				return err
			}
			if len(left) > 0 {
				return project.Refuse(project.ErrInvalid, "report group %s has reports: delete them first, or with it", name)
			}
		}
		return store.RemoveReportGroup(ctx, q, name)
	})
	return noGroup(name, err)
}

// Group returns a group. The error is a *project.Error of the kind ErrNotFound
// when there is none of that name.
func (s *Shelf) Group(ctx context.Context, name string) (g Group, err error) {
	err = s.Store.View(ctx, func(q store.Querier) error {
		kept, err := store.GetReportGroup(ctx, q, name)
		if err != nil {
			return err
		}
		g, err = readGroup(kept)
		return err
	})
	return g, noGroup(name, err)
}

// Groups lists all groups by name.
func (s *Shelf) Groups(ctx context.Context) ([]Group, error) {
	all, err := s.Store.ReportGroups(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]Group, 0, len(all))
	for _, kept := range all {
		g, err := readGroup(kept)
		if err != nil {
			return nil, err
		}
		found = append(found, g)
	}
	return found, nil
}

func noGroup(name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return project.Refuse(project.ErrNotFound, "there is no report group %.200q", name)
	}
	return err
}

func (g Group) stored() (store.ReportGroup, error) {
	text, err := json.Marshal(groupDefinition{g.Export, g.Tags})
	if err != nil {
		return store.ReportGroup{}, fmt.Errorf("encode report group %s: %w", g.Name, err)
	}
	return store.ReportGroup{Name: g.Name, Kind: string(g.Kind), Definition: text, Created: g.Created, Updated: g.Updated}, nil
}

func readGroup(kept store.ReportGroup) (Group, error) {
	var d groupDefinition
	if err := json.Unmarshal(kept.Definition, &d); err != nil {
		return Group{}, fmt.Errorf("read report group %s: %w", kept.Name, err)
	}
	return Group{Name: kept.Name, Kind: Kind(kept.Kind), Export: d.Export, Tags: d.Tags, Created: kept.Created, Updated: kept.Updated}, nil
}
