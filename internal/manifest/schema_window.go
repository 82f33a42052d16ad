package manifest

import (
	"fmt"
	"strconv"
)

// The annotations that say which versions of a database's schema fit. Versions
// are whole numbers from 1 that grow: a count of migrations, or a date such as
// 20261123.
const (
	// SchemaAnnotation, on a Job that is a hook: the version that the database
	// has after it.
	SchemaAnnotation = "towline.dev/schema"
	// SchemaMinAnnotation and SchemaMaxAnnotation, on a workload: the versions
	// that it works with, both included. One that is not written is open.
	SchemaMinAnnotation = "towline.dev/schema-min"
	SchemaMaxAnnotation = "towline.dev/schema-max"
)

// Schema is what one revision says about the schema of its database.
type Schema struct {
	// Brings is the version after its migrations, the highest of them. Zero
	// means that no hook says.
	Brings int64
	// Windows are the versions that its workloads work with, in their order.
	Windows []SchemaWindow
}

// SchemaWindow is the range of versions that one workload works with.
type SchemaWindow struct {
	Workload string // as Ref names it
	Source   Source
	Min, Max int64 // zero is open
}

// SchemaOf reads the annotations of objs. Those that are no versions, contradict
// each other or stand where they mean nothing are *Errors, and so is a workload
// that does not work with what its own migration brings.
func SchemaOf(objs []Object) (Schema, error) {
	var s Schema
	var errs []error
	for _, o := range objs {
		brings, err := versionAt(o, SchemaAnnotation)
		if err == nil && brings > 0 && o.GetAnnotations()[HookAnnotation] == "" {
			err = &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s, but is no hook that migrates a database", Ref(o.Unstructured), SchemaAnnotation),
				Hint: fmt.Sprintf("add %s to the Job, or write %s and %s on a workload", HookAnnotation, SchemaMinAnnotation, SchemaMaxAnnotation)}
		}
		if err != nil {
			errs = append(errs, err)
		}
		s.Brings = max(s.Brings, brings)
		window, said, err := windowOf(o)
		switch {
		case err != nil:
			errs = append(errs, err)
		case said:
			s.Windows = append(s.Windows, window)
		}
	}
	if len(errs) > 0 {
		return Schema{}, joinErrors(errs)
	}
	return s, s.Accepts(s.Brings)
}

func windowOf(o Object) (window SchemaWindow, said bool, err error) {
	window = SchemaWindow{Workload: Ref(o.Unstructured), Source: o.Source}
	if window.Min, err = versionAt(o, SchemaMinAnnotation); err != nil {
		return window, false, err
	}
	if window.Max, err = versionAt(o, SchemaMaxAnnotation); err != nil {
		return window, false, err
	}
	if window.Min == 0 && window.Max == 0 {
		return window, false, nil
	}
	if _, ok := templatePath(o.Unstructured); !ok {
		return window, false, &Error{Source: o.Source, Message: fmt.Sprintf("%s runs no pods, so its schema means nothing", window.Workload),
			Hint: "write " + SchemaMinAnnotation + " and " + SchemaMaxAnnotation + " on the workload"}
	}
	if window.Max > 0 && window.Min > window.Max {
		return window, false, &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s %d above %s %d", window.Workload, SchemaMinAnnotation, window.Min, SchemaMaxAnnotation, window.Max)}
	}
	return window, true, nil
}

// versionAt is 0 when the annotation is not there.
func versionAt(o Object, annotation string) (int64, error) {
	written, ok := o.GetAnnotations()[annotation]
	if !ok {
		return 0, nil
	}
	version, err := strconv.ParseInt(written, 10, 64)
	if err != nil || version < 1 {
		return 0, &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s: %q", Ref(o.Unstructured), annotation, written), Hint: "it must be a whole number from 1, as a quoted string"}
	}
	return version, nil
}

// Accepts reports, as *Errors, the workloads that do not work with a database
// at that version; zero means that it is not known, and fits all. A rollback
// asks it of the revision to go back to with the version that the database has
// now, and a deployment of the revision that still runs with the one that it
// brings.
func (s Schema) Accepts(version int64) error {
	var errs []error
	for _, w := range s.Windows {
		if version == 0 || version >= w.Min && (w.Max == 0 || version <= w.Max) {
			continue
		}
		errs = append(errs, &Error{Source: w.Source, Message: fmt.Sprintf("%s works with a database schema %s, not with %d", w.Workload, w.versions(), version)})
	}
	return joinErrors(errs)
}

func (w SchemaWindow) versions() string {
	switch {
	case w.Max == 0:
		return fmt.Sprintf("from %d", w.Min)
	case w.Min == 0:
		return fmt.Sprintf("up to %d", w.Max)
	}
	return fmt.Sprintf("from %d to %d", w.Min, w.Max)
}
