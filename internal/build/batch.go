package build

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// The files of a batch in Job.Dir.
const (
	batchFile   = "batch.json"
	partsDir    = "batch"    // a directory for each build, by its number
	togetherDir = "together" // what they made, to be packed as one artifact
)

// part tells a build of a batch from others. The zero value is a build of its
// own.
type part struct {
	label string // identifier in the batch
	told  bool   // the warnings of its buildspec were told already
	apart bool   // it has a log of its own
}

// batch runs the builds of a batch and makes one result of theirs. Each has a
// directory of its own and writes to the one log.
func (a Action) batch(ctx context.Context, job pipeline.Job, config pipeline.Build) (pipeline.Result, error) {
	b, err := a.tasks(ctx, job, config)
	if err != nil {
		return pipeline.Result{}, err
	}
	tasks := b.Expand()
	parts := walk{tasks: tasks, most: a.Parallel, fastFail: b.FastFail, progress: job.Progress, begun: begunBefore(job.Dir, len(tasks))}
	switch {
	case job.Parts != nil:
		parts.most = len(tasks) // it lets each begin when there is room
		refused, err := job.Parts.Plan(ctx, partsOf(tasks))
		if err != nil || refused != "" {
			return pipeline.Fail("%s", refused), err
		}
	case parts.most <= 0:
		parts.most = runtime.NumCPU()
	}
	results, err := parts.run(ctx, func(ctx context.Context, i int, before []pipeline.Artifact) (pipeline.Result, error) {
		return a.part(ctx, job, config, partOf{task: tasks[i], number: i, inputs: before})
	})
	if err != nil {
		return pipeline.Result{}, err
	}
	result := summarize(tasks, results)
	if result.Outcome == pipeline.Succeeded {
		result.Artifacts, err = a.together(ctx, job, parts, config.Batch.Combine)
	}
	return result, err
}

// begunBefore tells which builds of a batch have begun by now.
func begunBefore(dir string, builds int) func(int) bool {
	begun := make([]bool, builds)
	for i := range begun {
		_, err := os.Stat(filepath.Join(dir, partsDir, strconv.Itoa(i), planFile))
		begun[i] = err == nil
	}
	return func(i int) bool { return begun[i] }
}

// partsOf are the builds of a batch for who keeps records of them.
func partsOf(tasks []buildspec.Task) []pipeline.Part {
	var all []pipeline.Part
	for i, t := range tasks {
		all = append(all, recorded(i, t))
	}
	return all
}

func recorded(number int, t buildspec.Task) pipeline.Part {
	return pipeline.Part{
		Number: number, Identifier: t.Identifier, DependsOn: t.DependOn, IgnoreFailure: t.IgnoreFailure, Buildspec: t.Buildspec,
		Image: t.Env.Image, Type: t.Env.Type, ComputeType: t.Env.ComputeType, Variables: t.Env.Variables,
	}
}

// tasks returns the batch of the job's buildspec, as it was read when the job
// was given the first time.
func (a Action) tasks(ctx context.Context, job pipeline.Job, config pipeline.Build) (buildspec.Batch, error) {
	var b buildspec.Batch
	if ok, err := box.ReadRecord(job.Dir, batchFile, &b); ok || err != nil {
		return b, err
	}
	if err := a.unpack(ctx, job); err != nil {
		return b, err
	}
	spec, err := a.spec(job, config)
	if err != nil {
		return b, err
	}
	if spec.Batch == nil {
		return b, refuse("the buildspec has no batch; add one, or run it as one build")
	}
	tell(job.Log, config, spec.Warnings)
	return *spec.Batch, box.WriteRecord(job.Dir, batchFile, spec.Batch)
}

// partOf is one build of a batch that is to run.
type partOf struct {
	task   buildspec.Task
	number int // in the batch, from 0
	inputs []pipeline.Artifact
}

// part runs one build of the batch, by who keeps a record of it if somebody
// does.
func (a Action) part(ctx context.Context, job pipeline.Job, config pipeline.Build, of partOf) (pipeline.Result, error) {
	together := job.LogFile
	number := strconv.Itoa(of.number)
	job.Dir = filepath.Join(job.Dir, partsDir, number)
	// The key must be that of no other build, and fit for the name of a Pod,
	// which an identifier may not be.
	job.Action.Name += "-" + number
	job.Action.Outputs = nil
	job.Inputs = append(slices.Clip(job.Inputs), of.inputs...)
	job.Progress = nil
	run := func(ctx context.Context, job pipeline.Job, env map[string]string) (pipeline.Result, error) {
		return a.alone(ctx, job, config, aPart{of.task, env, job.LogFile != together})
	}
	if job.Parts == nil {
		return run(ctx, job, nil)
	}
	keeper := job.Parts
	job.Parts = nil
	return keeper.Part(ctx, recorded(of.number, of.task), job, run)
}

// aPart is a build of a batch whose turn it is.
type aPart struct {
	task  buildspec.Task
	env   map[string]string // that wins over all others
	apart bool              // it has a log of its own
}

// alone runs one build of the batch. A refusal is its own failure.
func (a Action) alone(ctx context.Context, job pipeline.Job, config pipeline.Build, of aPart) (pipeline.Result, error) {
	id := of.task.Identifier
	if !of.apart {
		job.Log = &labelled{log: job.Log, label: []byte("[" + id + "] ")}
	}
	config, ignored, err := configured(config, of.task)
	if err != nil {
		fmt.Fprintln(job.Log, err)
		return pipeline.Fail("%v", err), nil
	}
	if ignored != "" {
		fmt.Fprintf(job.Log, "warning: %s\n", ignored)
	}
	maps.Copy(config.Env, of.env)
	if err := os.MkdirAll(job.Dir, 0o711); err != nil {
		return pipeline.Result{}, fmt.Errorf("make the directory of build %s: %w", id, err)
	}
	result, err := a.one(ctx, job, config, part{label: id, told: of.task.Buildspec == "", apart: of.apart})
	if no, ok := errors.AsType[refusal](err); ok {
		fmt.Fprintln(job.Log, no)
		return pipeline.Fail("%s", no), nil
	}
	return result, err
}

// configured is the configuration of one build of a batch, and what of its
// environment has no effect, in words. The error is the user's to mend.
func configured(config pipeline.Build, t buildspec.Task) (_ pipeline.Build, ignored string, err error) {
	config.Batch = nil
	if strings.HasPrefix(t.Env.Type, "WINDOWS") {
		return config, "", fmt.Errorf("env.type is %s, and builds run on Linux alone", t.Env.Type)
	}
	if t.Buildspec != "" {
		config.Buildspec, config.Commands = t.Buildspec, nil
	}
	env := maps.Clone(config.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, t.Env.Variables)
	if t.Shards > 0 {
		env["TOWLINE_SHARD"], env["TOWLINE_SHARDS"] = strconv.Itoa(t.Shard), strconv.Itoa(t.Shards)
	}
	config.Env = env
	config.Pod, ignored = placed(config, t.Env)
	return config, ignored, nil
}

// placed is the Pod of one build of a batch: with its image, and on a node of
// its kind. It says what of that cannot be had.
func placed(config pipeline.Build, env buildspec.TaskEnv) (_ *pipeline.Pod, ignored string) {
	isPod := config.Compute == pipeline.ComputePod || config.Compute == "" && config.Pod != nil
	arch := ""
	if strings.HasPrefix(env.Type, "ARM_") {
		arch = "arm64"
	}
	switch {
	case env.Image == "" && arch == "":
		return config.Pod, ""
	case !isPod && arch != "" && arch != runtime.GOARCH:
		return config.Pod, fmt.Sprintf("env.type is %s, and this machine is %s; builds with compute: pod choose their node", env.Type, runtime.GOARCH)
	case !isPod && env.Image != "":
		return config.Pod, fmt.Sprintf("env.image %s is not used: the build runs on this machine; builds with compute: pod have images", env.Image)
	case !isPod:
		return config.Pod, ""
	}
	pod := pipeline.Pod{}
	if config.Pod != nil {
		pod = *config.Pod
	}
	if arch != "" {
		nodes := maps.Clone(pod.NodeSelector)
		if nodes == nil {
			nodes = map[string]string{}
		}
		nodes["kubernetes.io/arch"] = arch
		pod.NodeSelector = nodes
	}
	if strings.HasPrefix(env.Image, "aws/codebuild/") {
		return &pod, fmt.Sprintf("env.image %s is not used: CodeBuild's own images are not to be had elsewhere", env.Image)
	}
	pod.Image = cmp.Or(env.Image, pod.Image)
	return &pod, ""
}

// labelled is the log of one build of a batch: of whole lines.
type labelled struct {
	log   io.Writer
	label []byte
}

func (l *labelled) Write(text []byte) (int, error) {
	lines := bytes.ReplaceAll(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), append([]byte("\n"), l.label...))
	whole := append(append(slices.Clone(l.label), lines...), '\n')
	if _, err := l.log.Write(whole); err != nil {
		return 0, err
	}
	return len(text), nil
}
