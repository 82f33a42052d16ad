package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/store"
)

// Project is a project that is kept.
type Project struct {
	Definition Definition `json:"definition"`
	Builds     int        `json:"builds"` // number of the last one
	Created    time.Time  `json:"created"`
	Updated    time.Time  `json:"updated"`
}

// Create keeps a new project. The error is an *Error of the kind ErrInvalid or
// ErrExists when it is the caller's.
func (r *Builder) Create(ctx context.Context, d Definition) (Project, error) {
	return r.put(ctx, d.Name, func(old *Project) (Definition, error) {
		if old != nil {
			return d, refuse(ErrExists, "there is a project %q already: change it, or choose another name", d.Name)
		}
		return d, nil
	})
}

// Update gives members of a project other values. The error is an *Error of the
// kind ErrInvalid or ErrNotFound when it is the caller's.
func (r *Builder) Update(ctx context.Context, name string, members map[string]json.RawMessage) (Project, error) {
	return r.put(ctx, name, func(old *Project) (Definition, error) {
		if old == nil {
			return Definition{}, noProject(name)
		}
		changed, err := old.Definition.Changed(members)
		changed.Name = name
		return changed, err
	})
}

// Put keeps a project, whether there is one of that name or not.
func (r *Builder) Put(ctx context.Context, d Definition) (Project, error) {
	return r.put(ctx, d.Name, func(*Project) (Definition, error) { return d, nil })
}

// put keeps the definition that next makes of what is there, nil for nothing.
func (r *Builder) put(ctx context.Context, name string, next func(old *Project) (Definition, error)) (p Project, err error) {
	err = r.Store.Update(ctx, func(q store.Querier) error {
		var old *Project
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

func open(kept store.Project) (Project, error) {
	p := Project{Builds: kept.Builds, Created: kept.Created, Updated: kept.Updated}
	if err := json.Unmarshal(kept.Definition, &p.Definition); err != nil {
		return p, fmt.Errorf("read project %s: %w", kept.Name, err)
	}
	return p, nil
}

// Project returns a project. The error is an *Error of the kind ErrNotFound when
// there is none of that name.
func (r *Builder) Project(ctx context.Context, name string) (Project, error) {
	kept, err := r.Store.Project(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Project{}, noProject(name)
	}
	if err != nil {
		return Project{}, err
	}
	return open(kept)
}

// Projects lists all projects by name.
func (r *Builder) Projects(ctx context.Context) ([]Project, error) {
	all, err := r.Store.Projects(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]Project, 0, len(all))
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
// is an *Error of the kind ErrNotFound when there is none of that name.
func (r *Builder) Delete(ctx context.Context, name string) error {
	err := r.Store.Update(ctx, func(q store.Querier) error { return store.RemoveProject(ctx, q, name) })
	if errors.Is(err, store.ErrNotFound) {
		return noProject(name)
	}
	return err
}
