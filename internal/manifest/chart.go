package manifest

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	values "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
	"k8s.io/apimachinery/pkg/runtime"
)

// HelmChart says which chart is rendered, and with what.
type HelmChart struct {
	// Path is the chart, a directory or a .tgz, slash-separated below the root
	// of the source. The charts that it depends on are in its charts/.
	Path string
	// Release is .Release.Name.
	Release string
	// Namespace is .Release.Namespace; empty means "default".
	Namespace string
	// Values are files of values below the root of the source, later ones win.
	Values []string
	// Set are values that win over the files, by paths as Helm's --set-json
	// takes them: image.tag, env[0].value, nodeSelector.kubernetes\.io/os.
	Set map[string]any
	// KubeVersion is .Capabilities.KubeVersion, such as "v1.34.1". Empty means
	// that it is not known: the chart's own constraint is then not checked.
	KubeVersion string
	// APIVersions are .Capabilities.APIVersions, such as "apps/v1" and
	// "apps/v1/Deployment". None means those of Kubernetes itself.
	APIVersions []string
}

// LoadChart renders a Helm chart and reads what it makes, as Load reads files.
// The definitions of crds/ come first. The Source of an object is the template
// that it comes from, without a line.
//
// Everything comes from the source: nothing is fetched, and lookup and
// getHostByName find nothing. .Release is that of a first installation,
// whatever is in the cluster, so that the same source gives the same objects.
// Jobs with helm.sh/hook become hooks of Towline (see Hooks). What is left out
// or does not mean the same as with Helm is in the changes.
//
// What the user can mend are *Errors, at the file and line of the template.
func LoadChart(root string, c HelmChart) ([]Object, []Change, error) {
	name, ok := clean(c.Path)
	if !ok {
		return nil, nil, &Error{Message: fmt.Sprintf("chart %q is not in the source", c.Path), Hint: "write a path relative to the root of the repository"}
	}
	if err := util.ValidateReleaseName(c.Release); err != nil {
		return nil, nil, &Error{Message: fmt.Sprintf("release name %q is not one that Helm takes", c.Release), Hint: "set helm.release to at most 53 lower-case letters, digits and dashes"}
	}
	t, err := openTree(root)
	if err != nil {
		return nil, nil, err
	}
	defer t.close()
	files, err := readChart(t, name)
	if err != nil {
		return nil, nil, err
	}
	given, err := readValues(t, c)
	if err != nil {
		return nil, nil, err
	}
	r := &rendering{path: name, files: files, values: given, config: c}
	objs, err := r.run()
	if err != nil {
		return nil, nil, err
	}
	if len(objs) == 0 {
		return nil, nil, &Error{Source: Source{File: name}, Message: "the chart makes no Kubernetes objects with these values"}
	}
	return objs, r.changes, refuseDuplicates(objs)
}

// rendering is one chart on its way to objects.
type rendering struct {
	path    string // of the chart in the source
	files   chartFiles
	values  map[string]any // as the user gives them
	config  HelmChart
	chart   *chart.Chart
	top     common.Values // what templates see as "."
	changes []Change
}

// run goes all the way. Helm panics on some malformed input instead of
// returning an error; that must not end the server.
func (r *rendering) run() (objs []Object, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.errorf("", "Helm cannot work with this chart: %v", p)
		}
	}()
	if err := r.load(); err != nil {
		return nil, err
	}
	if objs, err = r.objects(); err != nil {
		return nil, err
	}
	return r.takeHooks(objs)
}

// load reads the chart's files and puts the values together.
func (r *rendering) load() error {
	var err error
	if r.chart, err = loader.LoadFiles(r.files.buffered()); err != nil {
		return r.errorf("", "%s", plainly(err))
	}
	if r.chart.Metadata.Type == "library" {
		return r.errorf("name a chart that uses it", "%s is a library chart, which makes nothing itself", r.chart.Name())
	}
	if err := r.checkDependencies(r.chart, r.path); err != nil {
		return err
	}
	capabilities, err := r.capabilities()
	if err != nil {
		return err
	}
	given := runtime.DeepCopyJSON(r.values) // templates may write into it
	if err := util.ProcessDependencies(r.chart, given); err != nil {
		return r.errorf("", "%s", plainly(err))
	}
	namespace := r.config.Namespace
	if namespace == "" {
		namespace = "default"
	}
	release := common.ReleaseOptions{Name: r.config.Release, Namespace: namespace, Revision: 1, IsInstall: true}
	// The schemas are checked below, without Helm's loaders: a schema may name
	// others, which Helm would fetch or read from anywhere.
	r.top, err = values.ToRenderValuesWithSchemaValidation(r.chart, given, release, capabilities, true)
	if err != nil {
		return r.errorf("", "%s", plainly(err))
	}
	merged, err := r.top.Table("Values")
	if err != nil {
		return r.errorf("", "%s", plainly(err))
	}
	return r.checkSchemas(r.chart, r.path, merged)
}

// errorf is an error in the chart as a whole.
func (r *rendering) errorf(hint, format string, args ...any) *Error {
	return &Error{Source: Source{File: path.Join(r.path, "Chart.yaml")}, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// checkDependencies finds charts that are asked for and not there.
func (r *rendering) checkDependencies(c *chart.Chart, dir string) error {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if d == nil {
			continue
		}
		found := false
		for _, sub := range c.Dependencies() {
			found = found || sub.Name() == d.Name
		}
		if !found {
			missing = append(missing, strings.TrimSpace(d.Name+" "+d.Version))
		}
	}
	if len(missing) > 0 {
		return &Error{Source: Source{File: path.Join(dir, "Chart.yaml")},
			Message: fmt.Sprintf("depends on charts that are not in charts/, and nothing is fetched: %s", strings.Join(missing, ", ")),
			Hint:    fmt.Sprintf("run helm dependency build %s and commit charts/, or let a build action do it", dir)}
	}
	var errs []error
	for _, sub := range c.Dependencies() {
		errs = append(errs, r.checkDependencies(sub, r.files.subchart(dir, sub.Name())))
	}
	return errors.Join(errs...)
}

// capabilities is the cluster as far as templates may ask about it.
func (r *rendering) capabilities() (*common.Capabilities, error) {
	c := common.DefaultCapabilities.Copy()
	if len(r.config.APIVersions) > 0 {
		c.APIVersions = common.VersionSet(r.config.APIVersions)
	}
	if r.config.KubeVersion == "" {
		return c, nil
	}
	version, err := common.ParseKubeVersion(r.config.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's version %q: %w", r.config.KubeVersion, err)
	}
	c.KubeVersion = *version
	if want := r.chart.Metadata.KubeVersion; want != "" && !util.IsCompatibleRange(want, version.String()) {
		return nil, r.errorf("", "the chart wants Kubernetes %s, and the cluster has %s", want, version)
	}
	return c, nil
}
