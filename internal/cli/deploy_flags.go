package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/pipeline"
)

// deployFlags are the flags of towline deploy.
type deployFlags struct {
	kubeconfig string
	context    string
	file       string // of settings
	manifests  string
	chart      string
	values     []string
	images     []string
	variables  []string
	set        []string
	prune      []string
	dryRun     bool
	agent      string // reference of the agent's image

	notes []string // what the person should know of what was found
}

// deployKnobs are the flags that are one setting each, with its path in the
// deploy section. What they do is said there.
var deployKnobs = []struct{ flag, path string }{
	{"app", "app"}, {"namespace", "namespace"}, {"strategy", "strategy"}, {"method", "method"}, {"timeout", "timeout"},
	{"surge", "surge"}, {"cutover", "cutover"}, {"route", "route"}, {"propagation", "propagation"}, {"analysis", "analysis"},
	{"approval", "approval"}, {"approval-wait", "approvalWait"}, {"scale-down-delay", "scaleDownDelay"}, {"drain", "drain"},
	{"verify-service", "verify.service"}, {"verify-url", "verify.url"}, {"verify-path", "verify.path"}, {"verify-method", "verify.method"},
	{"verify-from", "verify.from"}, {"rate", "verify.rate"}, {"budget", "verify.budget"}, {"no-verify", "verify.off"},
	{"as-written", "asWritten"}, {"allow-older", "allowOlder"}, {"pull-secret", "pullSecret"},
}

func (f *deployFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.manifests, "manifests", "f", "", "file, directory of YAML files, or directory with a kustomization.yaml; - reads standard input; default k8s/")
	flags.StringVar(&f.chart, "chart", "", "Helm chart to render instead, a directory or .tgz")
	flags.StringArrayVar(&f.values, "values", nil, "with --chart: values file, later ones win")
	flags.StringArrayVar(&f.set, "set-value", nil, "with --chart: KEY=VALUE that wins over the files, such as image.tag=v2")
	flags.StringArrayVar(&f.images, "image", nil, "NAME=REFERENCE: the image that the containers named so, or whose image is named so, get")
	flags.StringArrayVar(&f.variables, "set", nil, "NAME=VALUE: value of ${NAME} in the manifests; with none given nothing is substituted")
	flags.StringVar(&f.file, "config", "", "file with the keys of a deploy section; flags win, and its paths are relative to the repository, else to this directory")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the plan and what would change, and do nothing")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file, default the usual one, else the local cluster's")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig, default its current one")
	for _, knob := range deployKnobs {
		value, doc := setting(&pipeline.Deploy{}, knob.path)
		short := ""
		switch knob.flag {
		case "namespace":
			short = "n"
		case "app":
			doc = "name under which the cluster keeps this application's revisions, default that of the repository, else of this directory"
		}
		switch value.Kind() {
		case reflect.Bool:
			flags.BoolP(knob.flag, short, false, strings.TrimPrefix(doc, "true "))
		case reflect.Int:
			flags.IntP(knob.flag, short, 0, doc)
		default:
			flags.StringP(knob.flag, short, "", doc)
		}
	}
	agentFlag(cmd, &f.agent)
	flags.StringArrayVar(&f.prune, "prune", nil, "kind that may be deleted when the manifests have it no more though it is kept otherwise, such as PersistentVolumeClaim")
}

// setting is a field of the settings by its path, with what is said of it.
func setting(d *pipeline.Deploy, path string) (value reflect.Value, doc string) {
	value = reflect.ValueOf(d).Elem()
	for name := range strings.SplitSeq(path, ".") {
		for field, inner := range value.Fields() {
			if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); key == name {
				value, doc = inner, field.Tag.Get("doc")
				break
			}
		}
	}
	return value, doc
}

// request is what the flags and the file ask for. clean removes what was
// written for it.
func (f *deployFlags) request(cmd *cobra.Command, in io.Reader) (request deploy.Request, clean func(), err error) {
	var file definition.DeployFile
	if f.file != "" {
		if file, err = readDeployFile(f.file); err != nil {
			return request, nil, err
		}
	}
	settings := file.Deploy
	if err := f.overrule(cmd.Flags(), &settings); err != nil {
		return request, nil, usageError{err}
	}
	source, err := f.source(cmd.Context(), &settings, in)
	if err != nil {
		return request, nil, err
	}
	if settings.App == "" {
		settings.App = source.name
	}
	if problems := settings.Problems(); len(problems) > 0 {
		source.clean()
		return request, nil, usageError{f.explain(cmd.Flags(), file, problems)}
	}
	return deploy.Request{
		Deploy: settings, TakeUp: true, Root: source.root, Commit: source.commit, Ancestry: source.ancestry(),
	}, source.clean, nil
}

func readDeployFile(name string) (definition.DeployFile, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return definition.DeployFile{}, err
	}
	file, err := definition.ParseDeploy(text)
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		return file, usageError{errors.New(problems.In(name))}
	}
	return file, err
}

// overrule puts the flags that were given into the settings.
func (f *deployFlags) overrule(flags *pflag.FlagSet, settings *pipeline.Deploy) error {
	for _, knob := range deployKnobs {
		given := flags.Lookup(knob.flag)
		if !given.Changed {
			continue
		}
		value, _ := setting(settings, knob.path)
		switch value.Kind() {
		case reflect.Bool:
			on, err := flags.GetBool(knob.flag)
			if err != nil {
				return err
			}
			value.SetBool(on)
		case reflect.Int:
			n, err := flags.GetInt(knob.flag)
			if err != nil {
				return err
			}
			value.SetInt(int64(n))
		default:
			value.SetString(given.Value.String())
		}
	}
	if len(f.prune) > 0 {
		settings.Prune = f.prune
	}
	var err error
	if settings.Images, err = assign(settings.Images, "image", "REFERENCE", f.images); err != nil {
		return err
	}
	settings.Variables, err = assign(settings.Variables, "set", "VALUE", f.variables)
	return err
}

// assign adds NAME=VALUE to a map, which may be nil and stays so when there is
// nothing to add. What a value is called stands in the error.
func assign(to map[string]string, flag, called string, given []string) (map[string]string, error) {
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: write NAME=%s", flag, text, called)
		}
		if to == nil {
			to = map[string]string{}
		}
		to[name] = value
	}
	return to, nil
}

// helm puts the flags of charts into the settings. A value is what JSON makes
// of it, else text.
func (f *deployFlags) helm(settings *pipeline.Deploy) error {
	if f.chart == "" && settings.Helm == nil {
		if len(f.values)+len(f.set) > 0 {
			return usageError{errors.New("--values and --set-value go with --chart")}
		}
		return nil
	}
	if settings.Helm == nil {
		settings.Helm = &pipeline.Helm{}
	}
	for _, text := range f.set {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usageError{fmt.Errorf("--set-value %q: write KEY=VALUE", text)}
		}
		if settings.Helm.Set == nil {
			settings.Helm.Set = map[string]any{}
		}
		var decoded any
		if json.Unmarshal([]byte(value), &decoded) != nil {
			decoded = value
		}
		settings.Helm.Set[name] = decoded
	}
	return nil
}

// explain says of each problem where its value was given.
func (f *deployFlags) explain(flags *pflag.FlagSet, file definition.DeployFile, problems pipeline.Problems) error {
	var lines []string
	for _, p := range problems {
		at := p.Path
		if line, column, ok := file.Place(p.Path); ok {
			at = fmt.Sprintf("%s:%d:%d", f.file, line, column)
		}
		for _, knob := range deployKnobs {
			if knob.path == p.Path && flags.Changed(knob.flag) {
				at = "--" + knob.flag
			}
		}
		if p.Path == "app" && !flags.Changed("app") {
			at = "--app"
		}
		lines = append(lines, fmt.Sprintf("%s: %s; %s", at, p.Message, p.Hint))
	}
	return errors.New(strings.Join(lines, "\n"))
}
