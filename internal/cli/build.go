package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/local"
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
}

func (c *command) buildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Run the buildspec of a directory on this machine, without a server",
		Long: `Run the buildspec of a directory, default this one, as a pipeline would: in a
copy of the files that git would commit, with databases of its own. What the
build makes goes to the directory of --artifacts, and what its tools download is
kept for the next build. The commands run on this machine and are not isolated
from it. Ctrl-C stops the build and all that it has started.`,
		Example: `  towline build
  towline build examples/go-web --service db=postgres --artifacts out
  towline build --buildspec ci/test.yml --env STAGE=dev --secret /web/token=token.txt`,
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
			b, err := f.build(dir)
			if err != nil {
				return err
			}
			return c.build(cmd, b)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config.Buildspec, "buildspec", "", "path of the buildspec in DIR, default buildspec.yml")
	flags.StringArrayVar(&f.env, "env", nil, "NAME=VALUE: environment variable of the build; again for more")
	flags.StringArrayVar(&f.secrets, "secret", nil, "NAME=FILE: value of a parameter or secret that the buildspec names, hidden in the log; again for more")
	flags.StringArrayVar(&f.services, "service", nil, "NAME=ENGINE[:VERSION]: empty database for the build: "+strings.Join(pipeline.Engines(), ", ")+"; again for more")
	flags.StringVar(&f.config.Timeout, "timeout", "", "longest the build may take, such as 20m; default 1h")
	flags.StringVar(&f.out, "artifacts", "", "directory that the files of the artifact are copied to; default they are only counted")
	flags.BoolVar(&f.batch, "batch", false, "run the builds of the buildspec's batch")
	return cmd
}

// build is the build that the flags ask for.
func (f buildFlags) build(dir string) (local.Build, error) {
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
	config := f.config
	if config.Env, err = assignments("--env", "VALUE", f.env); err != nil {
		return local.Build{}, err
	}
	secrets, err := assignments("--secret", "FILE", f.secrets)
	if err != nil {
		return local.Build{}, err
	}
	services, err := assignments("--service", "ENGINE", f.services)
	if err != nil {
		return local.Build{}, err
	}
	for name, text := range services {
		engine, version, _ := strings.Cut(text, ":")
		if !slices.Contains(pipeline.Engines(), engine) {
			return local.Build{}, usageError{fmt.Errorf("--service %s=%s: there is no engine %q; the engines are %s", name, text, engine, strings.Join(pipeline.Engines(), ", "))}
		}
		if config.Services == nil {
			config.Services = map[string]pipeline.Service{}
		}
		config.Services[name] = pipeline.Service{Engine: engine, Version: version}
	}
	if f.batch {
		config.Batch = &pipeline.Batch{}
	}
	b := local.Build{Dir: dir, Config: config, Secrets: secrets}
	if f.out != "" {
		if b.Out, err = filepath.Abs(f.out); err != nil {
			return local.Build{}, err
		}
	}
	return b, nil
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
func (c *command) build(cmd *cobra.Command, b local.Build) error {
	program, err := executable()
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find a place for the build's caches: %w; set HOME", err)
	}
	b.Cache = filepath.Join(cache, "towline", "build")
	backend, err := host.New(host.Config{Runner: []string{program, "build-runner"}, CacheDir: filepath.Join(b.Cache, "cache")})
	if err != nil {
		return err
	}
	log := c.logOut()
	if c.output == "json" {
		log = c.Err
	}
	b.Backend = build.Backends{pipeline.ComputeHost: backend}
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
	if len(result.Artifacts) > 0 && b.Out != "" {
		fmt.Fprintln(c.Err, "the artifact is in", b.Out)
	}
}
