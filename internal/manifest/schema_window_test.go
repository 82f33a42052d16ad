package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaOf(t *testing.T) {
	t.Parallel()
	migration := func(version string) Object {
		return Wrap(annotated("Job", "migrate", map[string]string{HookAnnotation: HookBefore, SchemaAnnotation: version}))[0]
	}
	workload := func(annotations map[string]string) Object {
		return Wrap(annotated("Deployment", "web", annotations))[0]
	}
	window := func(low, high int64) []SchemaWindow {
		return []SchemaWindow{{Workload: "Deployment/web", Min: low, Max: high}}
	}
	for name, tc := range map[string]struct {
		objs    []Object
		want    Schema
		refused string
	}{
		"nothing is said":              {[]Object{workload(nil)}, Schema{}, ""},
		"the highest migration counts": {[]Object{migration("11"), migration("12"), migration("9")}, Schema{Brings: 12}, ""},
		"a window":                     {[]Object{workload(map[string]string{SchemaMinAnnotation: "10", SchemaMaxAnnotation: "12"}), migration("12")}, Schema{Brings: 12, Windows: window(10, 12)}, ""},
		"a window that is open above":  {[]Object{workload(map[string]string{SchemaMinAnnotation: "10"})}, Schema{Windows: window(10, 0)}, ""},
		"no number":                    {[]Object{migration("v12")}, Schema{}, `Job/migrate has towline.dev/schema: "v12": it must be a whole number from 1, as a quoted string`},
		"zero":                         {[]Object{workload(map[string]string{SchemaMaxAnnotation: "0"})}, Schema{}, `Deployment/web has towline.dev/schema-max: "0": it must be a whole number from 1, as a quoted string`},
		"upside down":                  {[]Object{workload(map[string]string{SchemaMinAnnotation: "12", SchemaMaxAnnotation: "10"})}, Schema{}, "Deployment/web has towline.dev/schema-min 12 above towline.dev/schema-max 10"},
		"a schema that no hook brings": {[]Object{workload(map[string]string{SchemaAnnotation: "12"})}, Schema{},
			"Deployment/web has towline.dev/schema, but is no hook that migrates a database: add towline.dev/hook to the Job, or write towline.dev/schema-min and towline.dev/schema-max on a workload"},
		"a window on no workload": {Wrap(annotated("Service", "web", map[string]string{SchemaMinAnnotation: "1"})), Schema{},
			"Service/web runs no pods, so its schema means nothing: write towline.dev/schema-min and towline.dev/schema-max on the workload"},
		"its own migration does not fit": {[]Object{workload(map[string]string{SchemaMaxAnnotation: "11"}), migration("12")}, Schema{},
			"Deployment/web works with a database schema up to 11, not with 12"},
	} {
		got, err := SchemaOf(tc.objs)
		if tc.refused != "" {
			if err == nil || err.Error() != tc.refused {
				t.Errorf("%s: error %v, want %s", name, err, tc.refused)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestSchemaAccepts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		low, high, version int64
		want               string
	}{
		{10, 12, 0, ""}, {10, 12, 10, ""}, {10, 12, 12, ""}, {0, 0, 5, ""}, {0, 12, 1, ""}, {10, 0, 99, ""},
		{10, 12, 9, "web works with a database schema from 10 to 12, not with 9"},
		{10, 12, 13, "web works with a database schema from 10 to 12, not with 13"},
		{10, 0, 9, "web works with a database schema from 10, not with 9"},
	} {
		err := Schema{Windows: []SchemaWindow{{Workload: "web", Min: tc.low, Max: tc.high}}}.Accepts(tc.version)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%v: %q", tc, got)
		}
	}
}
