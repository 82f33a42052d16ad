package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/local"
	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

// buildFlags are what a build is told on the command line.
type buildFlags struct {
	config   pipeline.Build
	env      []string
	secrets  []string
	services []string
	batch    bool
	out      string
	file     string // with the keys of a build section
	pod      podFlags
}

func (c *command) buildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Run the buildspec of a directory, here or in a cluster, without a server",
		Long: `Run the buildspec of a directory, default this one, as a pipeline would: in a
copy of the files that git would commit, with databases of its own. What the
build makes goes to the directory of --artifacts, and what its tools download is
kept for the next build. The commands run on this machine and are not isolated
from it, or with --compute pod in a Pod of a cluster. Ctrl-C stops the build and
all that it has started.`,
		Example: `  towline build
  towline build examples/go-web --service db=postgres --artifacts out
  towline build --buildspec ci/test.yml --env STAGE=dev --secret /web/token=token.txt
  towline build --compute pod --context staging --image golang:1.26 --cpu 2 --memory 2Gi`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("one directory can be built at a time, these are %d", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			b, err := f.build(cmd.Flags(), dir)
			if err != nil {
				return err
			}
			return c.build(cmd, b, &f.pod)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.config.Buildspec, "buildspec", "", "path of the buildspec in DIR, default buildspec.yml")
	flags.StringArrayVar(&f.env, "env", nil, "NAME=VALUE: environment variable of the build; again for more")
	flags.StringArrayVar(&f.secrets, "secret", nil, "NAME=FILE: value of a parameter or secret that the buildspec names, hidden in the log; again for more")
	flags.StringArrayVar(&f.services, "service", nil, "NAME=ENGINE[:VERSION]: empty database for the build: "+strings.Join(pipeline.Engines(), ", ")+"; again for more")
	flags.StringVar(&f.config.Timeout, "timeout", "", "longest the build may take, such as 20m; default 1h")
	flags.StringVar(&f.out, "artifacts", "", "directory that the files of the artifact are copied to, of several artifacts each to a directory of its name there; default they are only counted")
	flags.BoolVar(&f.batch, "batch", false, "run the builds of the buildspec's batch")
	flags.StringVar(&f.file, "config", "", "file with the keys of a build section of towline.yaml; flags win")
	flags.StringVar(&f.config.Compute, "compute", "", "where the build runs: host, this machine, or pod, a Pod of a cluster; default host, or pod when the Pod is told of")
	f.pod.register(flags)
	return cmd
}

// build is the build that the flags ask for.
func (f *buildFlags) build(flags *pflag.FlagSet, dir string) (local.Build, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return local.Build{}, fmt.Errorf("find the directory to build: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return local.Build{}, usageError{fmt.Errorf("%s is no directory: name the one with the buildspec, and the file with --buildspec", dir)}
	}
	secrets, err := assignments("--secret", "FILE", f.secrets)
	if err != nil {
		return local.Build{}, err
	}
	for name, file := range secrets {
		// It may be a pipe: it is read when the value is asked for.
		if _, err := os.Stat(file); err != nil {
			return local.Build{}, usageError{fmt.Errorf("--secret %s=FILE: %w", name, err)}
		}
	}
	config, err := f.configuration(flags)
	if err != nil {
		return local.Build{}, err
	}
	b := local.Build{Dir: dir, Config: config, Secrets: secrets}
	if f.out != "" {
		if b.Out, err = filepath.Abs(f.out); err != nil {
			return local.Build{}, err
		}
	}
	return b, nil
}

// configuration is what the file says, and over it what the flags say.
func (f *buildFlags) configuration(flags *pflag.FlagSet) (pipeline.Build, error) {
	config, err := readBuildFile(f.file)
	if err != nil {
		return config, err
	}
	if f.config.Buildspec != "" {
		config.Buildspec, config.Commands, config.Artifacts, config.Reports = f.config.Buildspec, nil, nil, nil
	}
	config.Timeout, config.Compute = cmp.Or(f.config.Timeout, config.Timeout), cmp.Or(f.config.Compute, config.Compute)
	if _, err := build.Timeout(config.Timeout); err != nil {
		return config, usageError{err}
	}
	env, err := assignments("--env", "VALUE", f.env)
	if err != nil {
		return config, err
	}
	config.Env = over(config.Env, env)
	if err := f.addServices(&config); err != nil {
		return config, err
	}
	if f.batch && config.Batch == nil {
		config.Batch = &pipeline.Batch{}
	}
	if err := f.pod.overrule(flags, &config); err != nil {
		return config, usageError{err}
	}
	return config, nil
}

// readBuildFile reads the keys of a build section, none of no file.
func readBuildFile(name string) (pipeline.Build, error) {
	if name == "" {
		return pipeline.Build{}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return pipeline.Build{}, err
	}
	config, err := definition.ParseBuild(text)
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		return config, usageError{errors.New(problems.In(name))}
	}
	return config, err
}

// addServices adds the databases that the flags ask for.
func (f *buildFlags) addServices(config *pipeline.Build) error {
	services, err := assignments("--service", "ENGINE", f.services)
	if err != nil {
		return err
	}
	for name, text := range services {
		engine, version, _ := strings.Cut(text, ":")
		if !slices.Contains(pipeline.Engines(), engine) {
			return usageError{fmt.Errorf("--service %s=%s: there is no engine %q; the engines are %s", name, text, engine, strings.Join(pipeline.Engines(), ", "))}
		}
		if config.Services == nil {
			config.Services = map[string]pipeline.Service{}
		}
		config.Services[name] = pipeline.Service{Engine: engine, Version: version}
	}
	return nil
}

// assignments reads flags of the form NAME=VALUE.
func assignments(flag, value string, texts []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range texts {
		name, is, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("%s %q: write %s NAME=%s", flag, text, flag, value)}
		}
		all[name] = is
	}
	return all, nil
}

// build runs the build and prints its log and how it ended.
func (c *command) build(cmd *cobra.Command, b local.Build, f *podFlags) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find a place for the build's caches: %w; set HOME", err)
	}
	b.Cache = filepath.Join(cache, "towline", "build")
	if b.Config.Compute == pipeline.ComputePod {
		if err := f.provide(); err != nil {
			return err
		}
		if b.Config.Pod.Cluster, err = (contexts{kubeconfig(f.kubeconfig), b.Config.Pod.Cluster}).named(); err != nil {
			return err
		}
	}
	if b.Backend, err = f.backends(b.Cache); err != nil {
		return err
	}
	b.Kubeconfigs = contexts{kubeconfig(f.kubeconfig), f.context}
	log := c.logOut()
	if c.output == "json" {
		log = c.Err
	}
	b.Show = func(line string) error {
		_, err := io.WriteString(log, line+"\n")
		return err
	}
	result, err := b.Run(cmd.Context())
	if err != nil {
		if cmd.Context().Err() != nil && errors.Is(err, cmd.Context().Err()) {
			fmt.Fprintln(c.Err, "the build was stopped")
		}
		return err
	}
	return c.built(b, result)
}

// backends are the places where builds run, also those of earlier calls.
func (f *podFlags) backends(cache string) (build.Backend, error) {
	program, err := executable()
	if err != nil {
		return nil, err
	}
	// Who runs a build by hand bounds it as any other command: there is no server
	// that it could bring down. What --config says of limits holds.
	here, err := host.New(host.Config{
		Runner: []string{program, "build-runner"}, CacheDir: filepath.Join(cache, "cache"),
		Memory: -1, Disk: -1, Processes: -1, Spare: -1,
	})
	if err != nil {
		return nil, err
	}
	pods, err := f.backend(cache, here.Caches())
	if err != nil {
		return nil, err
	}
	return build.Backends{pipeline.ComputeHost: here, pipeline.ComputePod: pods}, nil
}

// built prints how a build has ended.
func (c *command) built(b local.Build, result pipeline.Result) error {
	if c.output == "json" {
		if err := c.printJSON(result); err != nil {
			return err
		}
	} else {
		c.tellBuilt(b, result)
	}
	if result.Outcome != pipeline.Succeeded {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *command) tellBuilt(b local.Build, result pipeline.Result) {
	words := string(result.Outcome)
	if result.Summary != "" {
		words += ": " + result.Summary
	}
	if result.Message != "" {
		words += "\n" + strings.TrimRight(result.Message, "\n")
	}
	fmt.Fprintln(printableLines{c.Err}, words)
	if b.Out == "" {
		return
	}
	for _, made := range result.Artifacts {
		fmt.Fprintf(printableLines{c.Err}, "artifact %s is in %s\n", made.Name, b.Directory(result.Artifacts, made.Name))
	}
}
