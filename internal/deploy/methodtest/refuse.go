package methodtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) refuse(t *testing.T) {
	t.Run("a field of somebody else is a conflict that names both", s.conflict)
	t.Run("several fields of several others are all named", s.conflicts)
	t.Run("force takes a field over", func(t *testing.T) {
		s.applyAs(t, "somebody-else", "forced", "one")
		applied, err := s.method.Apply(t.Context(), s.configMap(t, "forced", "two"), kube.ApplyOptions{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		if value(applied, "data", "key") != "two" {
			t.Errorf("the object comes back as %v", applied.Object)
		}
	})
	t.Run("an invalid value", func(t *testing.T) {
		object := s.configMap(t, "invalid", "one")
		object.Object["data"] = map[string]any{"not a key": "one", "nor this": "two"}
		_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{})
		s.wantRefused(t, err, "ConfigMap invalid", "not a key", "nor this")
	})
	t.Run("a field that the kind does not have", func(t *testing.T) {
		object := s.configMap(t, "unknown-field", "one")
		object.Object["datum"] = "x"
		_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{})
		s.wantRefused(t, err, "ConfigMap unknown-field", "datum")
		_, err = s.method.Create(t.Context(), object)
		s.wantRefused(t, err, "ConfigMap unknown-field", "datum")
	})
	t.Run("a field that may not change", func(t *testing.T) {
		s.mustApply(t, s.deployment(t, "immutable"))
		object := s.deployment(t, "immutable")
		object.Object["spec"].(map[string]any)["selector"] = map[string]any{"matchLabels": map[string]any{"app": "immutable", "more": "x"}}
		object.Object["spec"].(map[string]any)["template"].(map[string]any)["metadata"] = map[string]any{"labels": map[string]any{"app": "immutable", "more": "x"}}
		_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{DryRun: true})
		s.wantRefused(t, err, "Deployment immutable", "field is immutable")
	})
	t.Run("a kind that is not served", s.unknownKind)
	t.Run("a namespace that is not there", s.nowhere)
	t.Run("without the right to it, which is named", s.forbidden)
}

func (s *suite) unknownKind(t *testing.T) {
	object := s.configMap(t, "unknown-kind", "one")
	object.SetAPIVersion("example.com/v1")
	_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{})
	s.wantUnknownKind(t, err)
	_, err = s.method.Create(t.Context(), object)
	s.wantUnknownKind(t, err)
	s.wantUnknownKind(t, s.method.Scale(t.Context(), kube.RefOf(object), 1, kube.Guard{}))
	s.wantUnknownKind(t, s.method.Delete(t.Context(), kube.RefOf(object), "x"))
}

func (s *suite) nowhere(t *testing.T) {
	object := s.configMap(t, "lost", "one")
	object.SetNamespace(s.namespace + "-nowhere")
	_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{})
	if !kube.IsNotFound(err) {
		t.Errorf("apply: %v", err)
	}
	_, err = s.method.Create(t.Context(), object)
	if !kube.IsNotFound(err) {
		t.Errorf("create: %v", err)
	}
}

func (s *suite) conflict(t *testing.T) {
	s.applyAs(t, "somebody-else", "contested", "one")
	_, err := s.method.Apply(t.Context(), s.configMap(t, "contested", "two"), kube.ApplyOptions{})
	conflict, ok := errors.AsType[*kube.ConflictError](err)
	if !ok {
		t.Fatalf("error %T: %v", err, err)
	}
	want := []kube.Conflict{{Field: ".data.key", Manager: "somebody-else"}}
	if diff := cmp.Diff(want, conflict.Conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if kube.IsStale(err) || !kube.Refused(err) {
		t.Errorf("stale %t, refused %t: %v", kube.IsStale(err), kube.Refused(err), err)
	}
}

func (s *suite) conflicts(t *testing.T) {
	for manager, key := range map[string]string{"a-writer": "a", `the "b: c" writer`: "b", "another": "c"} {
		object := s.configMap(t, "contested-thrice", "one")
		object.Object["data"] = map[string]any{key: "one"}
		if _, err := s.cluster.Apply(t.Context(), object, kube.ApplyOptions{Manager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	object := s.configMap(t, "contested-thrice", "two")
	object.Object["data"] = map[string]any{"a": "two", "b": "two", "c": "two"}
	_, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{})
	conflict, ok := errors.AsType[*kube.ConflictError](err)
	if !ok || len(conflict.Conflicts) != 3 {
		t.Fatalf("error %T: %v", err, err)
	}
	for _, c := range conflict.Conflicts {
		if c.Field == ".data.a" && c.Manager != "a-writer" || c.Field == ".data.c" && c.Manager != "another" {
			t.Errorf("%s is said to be of %q", c.Field, c.Manager)
		}
	}
}

func (s *suite) forbidden(t *testing.T) {
	nobody := s.nobody(t)
	object := s.deployment(t, "forbidden")
	_, err := nobody.Apply(t.Context(), object, kube.ApplyOptions{})
	s.wantRefused(t, err, "towline-nobody", "may not patch deployments", "towline cluster test")
	_, err = nobody.Create(t.Context(), object)
	s.wantRefused(t, err, "towline-nobody", "may not create deployments")
	s.wantRefused(t, nobody.Scale(t.Context(), kube.RefOf(object), 1, kube.Guard{}), "towline-nobody", "deployments.apps/scale")
	s.wantRefused(t, nobody.Delete(t.Context(), kube.RefOf(object), "x"), "towline-nobody", "may not delete deployments")
}

func (s *suite) applyAs(tb testing.TB, manager, name, value string) {
	tb.Helper()
	if _, err := s.cluster.Apply(tb.Context(), s.configMap(tb, name, value), kube.ApplyOptions{Manager: manager}); err != nil {
		tb.Fatal(err)
	}
}

// wantRefused wants an error that lies in the request and holds some words.
func (s *suite) wantRefused(tb testing.TB, err error, words ...string) {
	tb.Helper()
	if !kube.Refused(err) || kube.IsStale(err) {
		tb.Fatalf("refused %t, stale %t: %v", kube.Refused(err), kube.IsStale(err), err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			tb.Errorf("%q does not say %q", err, word)
		}
	}
}

func (s *suite) wantUnknownKind(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*kube.UnknownKindError](err); !ok {
		tb.Errorf("error %T: %v", err, err)
	}
}
