package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// unstructuredOf are the objects without their sources.
func unstructuredOf(objs []Object) []*unstructured.Unstructured {
	var us []*unstructured.Unstructured
	for _, o := range objs {
		us = append(us, o.Unstructured)
	}
	return us
}

// listed is an object in a line each, for tables.
func listed(objs []Object) string {
	var b strings.Builder
	for _, o := range objs {
		fmt.Fprintf(&b, "%s at %s\n", Ref(o.Unstructured), o.Source)
	}
	return b.String()
}

func TestLoad(t *testing.T) {
	t.Parallel()
	eachArchive(t, "load", func(t *testing.T, a archive) {
		objs, err := Load(a.root(t), a.settings["path"])
		if err != nil {
			t.Fatal(err)
		}
		a.expect(t, "want.objects", listed(objs))
	})
}

func TestLoadBuildsKustomizations(t *testing.T) {
	t.Parallel()
	eachArchive(t, "kustomize", func(t *testing.T, a archive) {
		objs, err := Load(a.root(t), a.settings["path"])
		if err != nil {
			t.Fatal(err)
		}
		text, err := YAML(objs)
		if err != nil {
			t.Fatal(err)
		}
		a.expect(t, "want.yaml", string(text))
	})
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	eachArchive(t, "refuse", func(t *testing.T, a archive) {
		_, err := Load(a.root(t), a.settings["path"])
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("error %v, want an *Error", err)
		}
		a.expect(t, "want.error", err.Error())
	})
}
