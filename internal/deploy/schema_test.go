package deploy

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// release is a Deployment that works with some versions of the schema, after a
// migration that brings one.
func release(t *testing.T, brings, least, most int) []manifest.Object {
	t.Helper()
	texts := []string{fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {towline.dev/schema-min: '%d', towline.dev/schema-max: '%d'}}\nspec: {template: {}}", least, most)}
	if brings > 0 {
		texts = append(texts, fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {towline.dev/hook: before, towline.dev/schema: '%d'}}\nspec: {template: {}}", brings))
	}
	var objects []manifest.Object
	for _, text := range texts {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, manifest.Wrap(&o)...)
	}
	return objects
}

func TestAReleaseMustFitTheDatabase(t *testing.T) {
	b := setup(t)
	b.ensureNamespace(t)
	j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{journal: j}
	add := func(revision int, outcome pipeline.Outcome, objects []manifest.Object, done ...journal.DoneStep) {
		t.Helper()
		_, err := j.Add(t.Context(), journal.Record{Deployment: pipeline.Deployment{Revision: revision, Outcome: outcome}, Phase: journal.Ended, Done: done}, objects)
		if err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what string, objects []manifest.Object, rollback bool, text string) {
		t.Helper()
		err := r.fits(objects, rollback)
		if (err == nil) != (text == "") || err != nil && (!refusal.Is(err) || !strings.Contains(err.Error(), text)) {
			t.Errorf("%s: got %v, want %q", what, err, text)
		}
	}
	wants("the first release", release(t, 1, 1, 2), false, "")
	add(1, pipeline.Succeeded, release(t, 1, 1, 2))
	wants("a migration that what runs works with", release(t, 2, 2, 3), false, "")
	wants("one that it does not", release(t, 3, 3, 3), false, "the migration brings the database to schema 3 while revision 1 still serves")
	add(2, pipeline.Succeeded, release(t, 2, 2, 3))
	wants("going back one", release(t, 1, 1, 2), true, "")
	add(3, pipeline.Failed, release(t, 3, 2, 3), journal.DoneStep{Verb: plan.VerbRun})
	wants("going back behind a migration of a release that failed after it", release(t, 1, 1, 2), true,
		"does not work with the database any more, whose schema revision 3 has brought to 3")
	wants("a release without a word on schemas", release(t, 0, 1, 9)[:0], true, "")
}
