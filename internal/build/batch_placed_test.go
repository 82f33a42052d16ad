package build

import (
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

func TestABuildOfABatchIsPlacedWhereItsActionSays(t *testing.T) {
	t.Parallel()
	other := "ARM_CONTAINER"
	if runtime.GOARCH == "arm64" {
		other = "LINUX_CONTAINER" // which is no demand: then there is nothing to say
	}
	for name, c := range map[string]struct {
		config  pipeline.Build
		env     buildspec.TaskEnv
		pod     *pipeline.Pod
		ignored bool
	}{
		"nothing asked":              {pipeline.Build{}, buildspec.TaskEnv{Type: "LINUX_CONTAINER"}, nil, false},
		"an image on host":           {pipeline.Build{}, buildspec.TaskEnv{Image: "ci:3"}, nil, true},
		"another kind of machine":    {pipeline.Build{}, buildspec.TaskEnv{Type: other}, nil, other == "ARM_CONTAINER"},
		"an image of a Pod":          {pipeline.Build{Compute: "pod"}, buildspec.TaskEnv{Image: "ci:3"}, &pipeline.Pod{Image: "ci:3"}, false},
		"an image in another's Pod":  {pipeline.Build{Pod: &pipeline.Pod{Image: "a", CPU: "2"}}, buildspec.TaskEnv{Image: "ci:3"}, &pipeline.Pod{Image: "ci:3", CPU: "2"}, false},
		"CodeBuild's image in a Pod": {pipeline.Build{Pod: &pipeline.Pod{Image: "a"}}, buildspec.TaskEnv{Image: "aws/codebuild/standard:7.0"}, &pipeline.Pod{Image: "a"}, true},
		"a kind of node": {
			pipeline.Build{Pod: &pipeline.Pod{Image: "a", NodeSelector: map[string]string{"disk": "fast"}}}, buildspec.TaskEnv{Type: "ARM_CONTAINER"},
			&pipeline.Pod{Image: "a", NodeSelector: map[string]string{"disk": "fast", "kubernetes.io/arch": "arm64"}}, false,
		},
		"rights on the node": {pipeline.Build{Compute: "pod"}, buildspec.TaskEnv{Image: "a", Privileged: true}, &pipeline.Pod{Image: "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod, ignored := placed(c.config, c.env)
			if diff := cmp.Diff(c.pod, pod); diff != "" || (ignored != "") != c.ignored {
				t.Errorf("ignored %q, Pod (-want +got)\n%s", ignored, diff)
			}
		})
	}
}
