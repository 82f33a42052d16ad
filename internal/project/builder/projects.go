package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Create keeps a new project. The error is a *project.Error of the kind
// ErrInvalid or ErrExists when it is the caller's.
func (r *Builder) Create(ctx context.Context, d project.Definition) (project.Project, error) {
	return r.put(ctx, d.Name, func(old *project.Project) (project.Definition, error) {
		if old != nil {
			return d, project.Refuse(project.ErrExists, "there is a project %q already: change it, or choose another name", d.Name)
		}
		return d, nil
	})
}

// Update gives members of a project other values. The error is a
// *project.Error of the kind ErrInvalid or ErrNotFound when it is the
// caller's.
func (r *Builder) Update(ctx context.Context, name string, members map[string]json.RawMessage) (project.Project, error) {
	return r.put(ctx, name, func(old *project.Project) (project.Definition, error) {
		if old == nil {
			return project.Definition{}, noProject(name)
		}
		changed, err := old.Definition.Changed(members)
		changed.Name = name
		return changed, err
	})
}

// Put keeps a project, whether there is one of that name or not.
func (r *Builder) Put(ctx context.Context, d project.Definition) (project.Project, error) {
	return r.put(ctx, d.Name, func(*project.Project) (project.Definition, error) { return d, nil })
}

// put keeps the definition that next makes of what is there, nil for nothing.
func (r *Builder) put(ctx context.Context, name string, next func(old *project.Project) (project.Definition, error)) (p project.Project, err error) {
	err = r.Store.Update(ctx, func(q store.Querier) error {
		var old *project.Project
		kept, err := store.GetProject(ctx, q, name)
		there := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if there {
			opened, err := open(kept)
			if err != nil {
				return err
			}
			old = &opened
		}
		d, err := next(old)
		if err != nil {
			return err
		}
		if err := d.Check(); err != nil {
			return err
		}
		text, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encode project %s: %w", name, err)
		}
		if there {
			err = store.SetProject(ctx, q, name, text, r.Now())
		} else {
			err = store.AddProject(ctx, q, name, text, r.Now())
		}
		if err != nil {
			return err
		}
		if kept, err = store.GetProject(ctx, q, name); err != nil {
			return err
		}
		p, err = open(kept)
		return err
	})
	return p, err
}

func open(kept store.Project) (project.Project, error) {
	p := project.Project{Builds: kept.Builds, Created: kept.Created, Updated: kept.Updated}
	if err := json.Unmarshal(kept.Definition, &p.Definition); err != nil {
		return p, fmt.Errorf("read project %s: %w", kept.Name, err)
	}
	return p, nil
}

// Project returns a project. The error is a *project.Error of the kind
// ErrNotFound when there is none of that name.
func (r *Builder) Project(ctx context.Context, name string) (project.Project, error) {
	kept, err := r.Store.Project(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return project.Project{}, noProject(name)
	}
	if err != nil {
		return project.Project{}, err
	}
	return open(kept)
}

// noProject says how a project comes to be.
func noProject(name string) *project.Error {
	return project.Refuse(project.ErrNotFound, "there is no project %q: make it with towline project put FILE, or with aws codebuild create-project", name)
}

// Projects lists all projects by name.
func (r *Builder) Projects(ctx context.Context) ([]project.Project, error) {
	all, err := r.Store.Projects(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]project.Project, 0, len(all))
	for _, kept := range all {
		p, err := open(kept)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// Delete forgets a project. Its builds stay, and those that run go on. The error
// is a *project.Error of the kind ErrNotFound when there is none of that name.
func (r *Builder) Delete(ctx context.Context, name string) error {
	err := r.Store.Update(ctx, func(q store.Querier) error { return store.RemoveProject(ctx, q, name) })
	if errors.Is(err, store.ErrNotFound) {
		return noProject(name)
	}
	return err
}
