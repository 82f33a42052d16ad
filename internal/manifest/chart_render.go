package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"helm.sh/helm/v4/pkg/engine"
)

// objects are the chart's definitions and what its templates make.
func (r *rendering) objects() ([]Object, error) {
	var objs []Object
	var errs []error
	for _, crd := range r.chart.CRDObjects() {
		found, err := parse(r.files.sourceOf(crd.Filename), crd.File.Data, nil)
		objs = append(objs, found...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	made, err := r.render()
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, joinErrors(errs)
	}
	objs = append(objs, made...)
	if len(objs) > maxObjects {
		return nil, r.errorf("deploy them by several actions", "more than %d objects", maxObjects)
	}
	r.compare(made)
	return objs, nil
}

// render runs the templates and reads what they make.
func (r *rendering) render() ([]Object, error) {
	texts, err := r.execute()
	if err != nil {
		return nil, err
	}
	var objs []Object
	var errs []error
	total := 0
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		file, text := r.files.sourceOf(name), texts[name]
		if total += len(text); len(text) > maxFile || total > maxTotal {
			return nil, tooLarge(file)
		}
		if path.Base(name) == "NOTES.txt" || strings.TrimSpace(text) == "" {
			continue
		}
		found, err := parse(file, []byte(text), nil)
		if err != nil {
			errs = append(errs, asRendered(text, err))
		}
		for i := range found {
			found[i].Source.Line = 0 // it counts in what was rendered
		}
		objs = append(objs, found...)
	}
	return objs, joinErrors(errs)
}

// execute runs Helm's engine and notes what templates ask of the cluster.
func (r *rendering) execute() (map[string]string, error) {
	asked := map[string]bool{}
	e := engine.Engine{CustomTemplateFuncs: template.FuncMap{
		"lookup": func(apiVersion, kind, namespace, name string) map[string]any {
			asked[fmt.Sprintf("%s %s %s", apiVersion, kind, path.Join(namespace, name))] = true
			return map[string]any{}
		},
	}}
	// The context is for looking things up in a cluster, which is not done.
	texts, err := e.RenderWithContext(context.Background(), r.chart, r.top)
	if err != nil {
		return nil, r.located(err)
	}
	for _, what := range slices.Sorted(maps.Keys(asked)) {
		r.note("lookup of %s finds nothing here: the chart is rendered without the cluster. Give what it would find in the values", strings.TrimSpace(what))
	}
	return texts, nil
}

// note is a warning about the chart, each once.
func (r *rendering) note(format string, args ...any) {
	c := Change{Kind: Warned, Object: "chart " + r.chart.Name(), Source: Source{File: r.path}, Reason: fmt.Sprintf(format, args...)}
	if !slices.Contains(r.changes, c) {
		r.changes = append(r.changes, c)
	}
}

// compare renders once more and warns of objects that come out otherwise: a
// password that a template makes up would be another one in each deployment.
func (r *rendering) compare(first []Object) {
	again := &rendering{path: r.path, files: r.files, values: r.values, config: r.config}
	if err := again.load(); err != nil {
		return // unlike the first time: nothing can be said
	}
	second, err := again.render()
	if err != nil {
		return // likewise
	}
	known := map[ID]Object{}
	for _, o := range second {
		known[IDOf(o.Unstructured)] = o
	}
	for _, o := range first {
		other, ok := known[IDOf(o.Unstructured)]
		if !ok || !reflect.DeepEqual(o.Object, other.Object) {
			r.changes = append(r.changes, warn(o, "", nil, "the chart makes it up anew each time, from random text or the time, so that every deployment changes it: give the value in the values"))
		}
	}
}

// asRendered says of errors in what a template makes that their lines are
// not those of the template.
func asRendered(text string, err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range many.Unwrap() {
			errs = append(errs, asRendered(text, one))
		}
		return errors.Join(errs...)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Source.Line == 0 {
		return err
	}
	moved := &Error{Source: Source{File: e.Source.File}, Hint: e.Hint}
	moved.Message = fmt.Sprintf("makes, in line %d of what it renders: %s", e.Source.Line, e.Message)
	lines := strings.Split(text, "\n")
	if n := e.Source.Line - 1; n < len(lines) && strings.TrimSpace(lines[n]) != "" && !strings.Contains(text, "Secret") {
		moved.Message = fmt.Sprintf("makes %q, in line %d of what it renders: %s", atMostRunes(strings.TrimSpace(lines[n]), 80), e.Source.Line, e.Message)
	}
	return moved
}

func atMostRunes(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n]) + "..."
}

// templateAt finds places in templates in the text of errors: file, line and
// column, which text/template counts from 0.
var templateAt = regexp.MustCompile(`([^\s()<>:"]+/templates/[^\s()<>:"]+):(\d+)(?::(\d+))?`)

// executing is what text/template says of the action that failed.
var executing = regexp.MustCompile(`(?m)^\s*executing "[^"]*" at <([^\n]*)>:\s*$`)

// located is an error of the engine at the place in the template where it
// happened, the innermost one of several.
func (r *rendering) located(err error) error {
	text := err.Error()
	places := templateAt.FindAllStringSubmatch(text, -1)
	if len(places) == 0 {
		return r.errorf("", "%s", plainly(err))
	}
	last := places[len(places)-1]
	e := &Error{Source: Source{File: r.files.sourceOf(last[1])}}
	e.Source.Line, _ = strconv.Atoi(last[2])
	if column, err := strconv.Atoi(last[3]); err == nil {
		e.Column = column + 1
	}
	e.Message = messageOf(text)
	if first := places[0]; len(places) > 1 && first[1] != last[1] {
		e.Hint = fmt.Sprintf("it is included at %s:%s", r.files.sourceOf(first[1]), first[2])
	}
	return e
}

// messageOf is what the engine says without the places, which are told apart.
func messageOf(text string) string {
	at := ""
	if found := executing.FindAllStringSubmatch(text, -1); len(found) > 0 {
		at = found[len(found)-1][1]
	}
	if _, after, ok := strings.Cut(text, "): "); ok && (strings.HasPrefix(text, "parse error") || strings.HasPrefix(text, "execution error")) {
		return strings.TrimSpace(after)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	message := strings.TrimSpace(lines[len(lines)-1])
	if i := strings.LastIndex(message, ">: "); i >= 0 {
		message = message[i+3:]
	}
	if at != "" && !strings.Contains(message, at) {
		message = fmt.Sprintf("{{ %s }}: %s", at, message)
	}
	return message
}
