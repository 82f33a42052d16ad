package buildspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
)

func TestExpandMakesTheBuildsOfABatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		batch buildspec.Batch
		want  []buildspec.Task
	}{
		"a list, with names for those without one": {
			buildspec.Batch{Tasks: []buildspec.Task{{Identifier: "build1"}, {}, {}}},
			[]buildspec.Task{{Identifier: "build1"}, {Identifier: "build0"}, {Identifier: "build2"}},
		},
		"a matrix, the last variable first": {
			buildspec.Batch{Matrix: &buildspec.Matrix{
				IgnoreFailure: true, Env: buildspec.TaskEnv{Type: "LINUX_CONTAINER", Variables: map[string]string{"X": "y"}},
				Images: []string{"a", "b"}, Variables: []buildspec.Axis{{Name: "V", Values: []string{"1", "2"}}},
			}},
			[]buildspec.Task{
				cell("build0", "a", "1"), cell("build1", "a", "2"), cell("build2", "b", "1"), cell("build3", "b", "2"),
			},
		},
		"a matrix of buildspecs": {
			buildspec.Batch{Matrix: &buildspec.Matrix{Buildspecs: []string{"a.yml", "b.yml"}, ComputeTypes: []string{"S"}}},
			[]buildspec.Task{
				{Identifier: "build0", Buildspec: "a.yml", Env: buildspec.TaskEnv{ComputeType: "S"}},
				{Identifier: "build1", Buildspec: "b.yml", Env: buildspec.TaskEnv{ComputeType: "S"}},
			},
		},
		"a fan-out": {
			buildspec.Batch{Fanout: &buildspec.Fanout{Parallelism: 2, IgnoreFailure: true}},
			[]buildspec.Task{{Identifier: "build0", IgnoreFailure: true, Shards: 2}, {Identifier: "build1", IgnoreFailure: true, Shard: 1, Shards: 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.batch.Expand()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			if c.batch.Size() != len(got) {
				t.Errorf("Size is %d, there are %d", c.batch.Size(), len(got))
			}
		})
	}
}

func cell(id, image, v string) buildspec.Task {
	return buildspec.Task{Identifier: id, IgnoreFailure: true, Env: buildspec.TaskEnv{
		Type: "LINUX_CONTAINER", Image: image, Variables: map[string]string{"X": "y", "V": v},
	}}
}

func TestParseRefusesABatchThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ batch, want string }{
		"without builds":            {"{fast-fail: yes}", "b.yml:2:1: the batch has no builds; add build-list, build-graph, build-matrix or build-fanout"},
		"with two of one name":      {"{build-list: [{identifier: a}, {identifier: a}]}", `b.yml:2:1: two builds of the batch have the identifier "a"`},
		"that waits for itself":     {"{build-graph: [{identifier: a, depend-on: b}, {identifier: b, depend-on: [a]}, {identifier: c}]}", "b.yml:2:1: the builds a, b of the batch wait for each other"},
		"that waits for nothing":    {"{build-graph: [{identifier: unit}, {identifier: b, depend-on: [units]}]}", `b.yml:2:1: build "b" of the batch depends on "units", which is no build of it; did you mean unit?`},
		"whose graph has no names":  {"{build-graph: [{buildspec: a.yml}]}", "b.yml:2:23: batch.build-graph[0] has no identifier; add an identifier"},
		"with a bad name":           {"{build-list: [{identifier: a-b}]}", `b.yml:2:35: batch.build-list[0].identifier is "a-b"; use letters, digits and underscores`},
		"that is no list":           {"{build-list: {identifier: a}}", "b.yml:2:21: batch.build-list must be a list; begin each build with a dash"},
		"with too many builds":      {"{build-matrix: {dynamic: {env: {variables: {A: [1,2,3,4,5,6,7,8,9,10,11], B: [1,2,3,4,5,6,7,8,9,10]}}}}}", "b.yml:2:1: the batch has more than 100 builds"},
		"that fans out without end": {"{build-fanout: {parallelism: many}}", `b.yml:2:37: batch.build-fanout.parallelism is "many"; write a number from 1 to 100`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := buildspec.Parse("b.yml", []byte("version: 0.2\nbatch: "+c.batch+"\nphases: {build: {commands: [make]}}\n"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestParseReadsTheFormsOfOnFailure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]buildspec.OnFailure{
		"ABORT":            {Action: buildspec.Abort},
		"CONTINUE":         {Action: buildspec.Continue},
		"RETRY":            {Action: buildspec.Retry, Times: 3},
		"RETRY-0":          {Action: buildspec.Retry},
		"RETRY-100":        {Action: buildspec.Retry, Times: 100},
		"RETRY-invalid+":   {Action: buildspec.Retry, Times: 3, Match: "invalid+"},
		"RETRY-8-invalid+": {Action: buildspec.Retry, Times: 8, Match: "invalid+"},
		"RETRY-3x":         {Action: buildspec.Retry, Times: 3, Match: "3x"},
		"RETRY-2-.*a-b.*":  {Action: buildspec.Retry, Times: 2, Match: ".*a-b.*"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			spec, err := buildspec.Parse("b.yml", []byte("version: 0.2\nphases: {build: {on-failure: '"+text+"', commands: [make]}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, spec.Phases[0].OnFailure); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestStuckFindsBuildsThatWaitForEachOther(t *testing.T) {
	t.Parallel()
	tasks := func(text string) []buildspec.Task {
		var all []buildspec.Task
		for word := range strings.FieldsSeq(text) {
			id, on, _ := strings.Cut(word, "<")
			all = append(all, buildspec.Task{Identifier: id, DependOn: strings.FieldsFunc(on, func(r rune) bool { return r == ',' })})
		}
		return all
	}
	for text, want := range map[string][]string{
		"": nil, "a b": nil, "a<b b<c c": nil, "a<a": {"a"}, "a<b b<a c<b d": {"a", "b", "c"}, "a<gone": {"a"},
	} {
		if diff := cmp.Diff(want, buildspec.Stuck(tasks(text))); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
}
