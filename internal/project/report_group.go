package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/towline/towline/internal/store"
)

// ReportGroup is a group of reports: those of one name of a project's builds, or
// those that name it.
type ReportGroup struct {
	Name    string
	Kind    ReportKind
	Export  json.RawMessage // exportConfig in CodeBuild's form; it has no effect
	Tags    []Tag
	Created time.Time
	Updated time.Time
}

// groupDefinition is what the store keeps of a group as it came.
type groupDefinition struct {
	Export json.RawMessage `json:"exportConfig,omitempty"`
	Tags   []Tag           `json:"tags,omitempty"`
}

var groupForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,127}$`)

// CreateGroup keeps a new group. The error is an *Error of the kind ErrInvalid
// or ErrExists when it is the caller's.
func (r *Builder) CreateGroup(ctx context.Context, g ReportGroup) (ReportGroup, error) {
	switch {
	case !groupForm.MatchString(g.Name):
		return ReportGroup{}, refuse(ErrInvalid, "report group name %.160q: take 2 to 128 letters, digits, dashes and underscores, a letter or a digit first", g.Name)
	case len(g.Tags) > maxTags:
		return ReportGroup{}, refuse(ErrInvalid, "report group %s: there are %d tags, and may be %d", g.Name, len(g.Tags), maxTags)
	}
	g.Created = r.Now()
	g.Updated = g.Created
	err := r.Store.Update(ctx, func(q store.Querier) error {
		kept, err := g.stored()
		if err != nil {
			return err
		}
		return store.AddReportGroup(ctx, q, kept)
	})
	if errors.Is(err, store.ErrExists) {
		return ReportGroup{}, refuse(ErrExists, "there is a report group %q already: change it, or choose another name", g.Name)
	}
	return g, err
}

// UpdateGroup gives a group another export and other tags, those that are given.
// The error is an *Error of the kind ErrNotFound when there is no such group.
func (r *Builder) UpdateGroup(ctx context.Context, name string, export json.RawMessage, tags []Tag) (g ReportGroup, err error) {
	err = r.Store.Update(ctx, func(q store.Querier) error {
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
		g.Updated = r.Now()
		if kept, err = g.stored(); err != nil {
			return err
		}
		return store.SetReportGroup(ctx, q, kept)
	})
	return g, noGroup(name, err)
}

// DeleteGroup forgets a group, which must have no reports unless they go with
// it. The error is an *Error of the kind ErrNotFound or ErrInvalid when it is
// the caller's.
func (r *Builder) DeleteGroup(ctx context.Context, name string, reports bool) error {
	err := r.Store.Update(ctx, func(q store.Querier) error {
		if !reports {
			left, err := store.GetFiledReports(ctx, q, ReportFilter{Group: name, Limit: 1})
			if err != nil {
				return err
			}
			if len(left) > 0 {
				return refuse(ErrInvalid, "report group %s has reports: delete them first, or with it", name)
			}
		}
		return store.RemoveReportGroup(ctx, q, name)
	})
	return noGroup(name, err)
}

// Group returns a group. The error is an *Error of the kind ErrNotFound when
// there is none of that name.
func (r *Builder) Group(ctx context.Context, name string) (g ReportGroup, err error) {
	err = r.Store.View(ctx, func(q store.Querier) error {
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
func (r *Builder) Groups(ctx context.Context) ([]ReportGroup, error) {
	all, err := r.Store.ReportGroups(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]ReportGroup, 0, len(all))
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
		return refuse(ErrNotFound, "there is no report group %.200q", name)
	}
	return err
}

func (g ReportGroup) stored() (store.ReportGroup, error) {
	text, err := json.Marshal(groupDefinition{g.Export, g.Tags})
	if err != nil {
		return store.ReportGroup{}, fmt.Errorf("encode report group %s: %w", g.Name, err)
	}
	return store.ReportGroup{Name: g.Name, Kind: string(g.Kind), Definition: text, Created: g.Created, Updated: g.Updated}, nil
}

func readGroup(kept store.ReportGroup) (ReportGroup, error) {
	var d groupDefinition
	if err := json.Unmarshal(kept.Definition, &d); err != nil {
		return ReportGroup{}, fmt.Errorf("read report group %s: %w", kept.Name, err)
	}
	return ReportGroup{Name: kept.Name, Kind: ReportKind(kept.Kind), Export: d.Export, Tags: d.Tags, Created: kept.Created, Updated: kept.Updated}, nil
}
