package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The strategies and the methods of a deployment.
const (
	Rolling   = "rolling"
	Immutable = "immutable"
	BlueGreen = "blue-green"

	MethodAPI     = "api"
	MethodKubectl = "kubectl"
)

// maxRate keeps a typing error from becoming a load test.
const maxRate = 5000

var (
	deployApp       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$`)
	deployNamespace = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	deployVariable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	deploySurge     = regexp.MustCompile(`^[1-9][0-9]{0,5}$|^[1-9][0-9]{0,2}%$`)
	headerName      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// prunable are the kinds that are kept unless Prune names them.
var prunable = []string{"Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"}

// Problems is all that can be seen to be wrong without files and without a
// cluster, none when there is nothing. Values with a variable of a pipeline
// (#{action.Name}) are not looked into: they are not known yet.
func (d Deploy) Problems() Problems {
	var f finder
	d.names(&f)
	d.sources(&f)
	f.oneOf("strategy", d.Strategy, Rolling, Immutable, BlueGreen)
	f.oneOf("method", d.Method, MethodAPI, MethodKubectl)
	f.oneOf("cutover", d.Cutover, "atomic", "union")
	f.oneOf("drain", d.Drain, "warn", "require", "proxy", "off")
	f.oneOf("pullSecret", d.PullSecret, "auto", "off")
	f.duration("timeout", d.Timeout, true)
	f.duration("propagation", d.Propagation, true)
	f.duration("analysis", d.Analysis, false)
	f.duration("approvalWait", d.ApprovalWait, true)
	f.duration("scaleDownDelay", d.ScaleDownDelay, false)
	d.knobs(&f)
	d.Verify.problems(&f)
	for i, c := range d.Checks.Before {
		c.problems(&f, fmt.Sprintf("checks.before[%d]", i))
	}
	for i, c := range d.Checks.After {
		c.problems(&f, fmt.Sprintf("checks.after[%d]", i))
	}
	for i, kind := range d.Prune {
		if !slices.Contains(prunable, kind) {
			f.add(fmt.Sprintf("prune[%d]", i), "choose of "+strings.Join(prunable, ", ")+": all other kinds are pruned anyway", "%q is not a kind that is kept", kind)
		}
	}
	return f.found
}

// names are those of the application, its namespace, variables and images.
func (d Deploy) names(f *finder) {
	if d.Namespace != "" && !variable(d.Namespace) && !deployNamespace.MatchString(d.Namespace) {
		f.add("namespace", "use up to 63 lower-case letters, digits and dashes", "%q is not the name of a namespace", d.Namespace)
	}
	if d.App != "" && !variable(d.App) && !deployApp.MatchString(d.App) {
		f.add("app", "use up to 50 lower-case letters, digits and dashes: the cluster's journal is named by it", "%q is not the name of an application", d.App)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Variables)) {
		if !deployVariable.MatchString(name) {
			f.add("variables."+name, "use letters, digits and underscores, and begin with no digit", "%q is not the name of a variable", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Images)) {
		if name == "" || d.Images[name] == "" {
			f.add("images."+name, "write NAME: REFERENCE, such as web: '#{image.ImageURI}'", "image %q gets the reference %q", name, d.Images[name])
		}
	}
}

// sources is where the objects come from: manifests or a chart.
func (d Deploy) sources(f *finder) {
	if d.Helm == nil {
		return
	}
	if d.Manifests != "" {
		f.add("manifests", "keep one of them", "both manifests and helm are given")
	}
	if d.Helm.Chart == "" {
		f.add("helm.chart", "name its directory or .tgz, such as charts/web", "the chart is not named")
	}
	for i, file := range d.Helm.Values {
		if file == "" {
			f.add(fmt.Sprintf("helm.values[%d]", i), "name a file in the source, or leave the entry out", "the values file has no name")
		}
	}
}

// knobs that the strategy does not have would be obeyed by nobody.
func (d Deploy) knobs(f *finder) {
	strategy := d.Strategy
	if strategy == "" {
		strategy = Rolling
	}
	only := func(given bool, path string, strategies ...string) {
		if given && !slices.Contains(strategies, strategy) && slices.Contains([]string{Rolling, Immutable, BlueGreen}, strategy) {
			f.add(path, fmt.Sprintf("leave it out, or set strategy: %s", orList(strategies)), "strategy %s has no %s", strategy, path)
		}
	}
	only(d.Surge != "", "surge", Rolling)
	only(d.Cutover != "", "cutover", Immutable, BlueGreen)
	only(d.Route != "", "route", BlueGreen)
	only(d.Approval, "approval", Immutable, BlueGreen)
	only(d.ApprovalWait != "" && !d.Approval, "approvalWait", Immutable, BlueGreen)
	only(d.ScaleDownDelay != "", "scaleDownDelay", Immutable, BlueGreen)
	only(len(d.Checks.Before) > 0, "checks.before", Immutable, BlueGreen)
	if strategy == Immutable && d.Cutover == "union" {
		f.add("cutover", "leave it out: both sets serve for a while anyway", "cutover union is of strategy blue-green")
	}
	if d.Route != "" && d.Cutover != "" && strategy == BlueGreen {
		f.add("cutover", "keep one of them", "cutover says how a Service moves, and the weights of HTTPRoute %s move the requests instead", d.Route)
	}
	if d.ApprovalWait != "" && !d.Approval && strategy != Rolling {
		f.add("approvalWait", "add approval: true, or leave it out", "nothing is approved")
	}
	if d.Surge != "" && !deploySurge.MatchString(d.Surge) {
		f.add("surge", `write a number of pods from 1, or a share such as "25%"`, "%q is not how many new pods may start beside the old ones", d.Surge)
	}
	if d.AsWritten && d.Drain == "proxy" {
		f.add("drain", "leave one of them out", "drain proxy puts a container into the pods, and asWritten leaves the manifests as they are")
	}
}

func (v Verify) problems(f *finder) {
	if v.URL != "" && v.Service != "" {
		f.add("verify.url", "keep one of them", "both verify.url and verify.service are given")
	}
	f.address("verify.url", v.URL)
	f.oneOf("verify.method", v.Method, "GET", "HEAD", "POST")
	for _, name := range slices.Sorted(maps.Keys(v.Header)) {
		if !headerName.MatchString(name) || strings.ContainsAny(v.Header[name], "\r\n\x00") {
			f.add("verify.header."+name, "write Name: value on one line", "%q is not a header of a request", name)
		}
	}
	if v.Body != "" && v.Method != http.MethodPost {
		f.add("verify.body", "add method: POST, or leave the body out", "a request by %s has no body", cmp.Or(v.Method, "GET"))
	}
	f.oneOf("verify.from", v.From, "auto", "direct", "proxy", "pod")
	if v.From == "proxy" && v.URL != "" {
		f.add("verify.from", "choose direct or pod, or name a Service instead of the URL", "the API server's proxy leads to Services only, and verify.url is given")
	}
	if v.Rate < 0 || v.Rate > maxRate {
		f.add("verify.rate", fmt.Sprintf("choose 1 to %d requests per second", maxRate), "rate is %d", v.Rate)
	}
	if v.Budget < 0 {
		f.add("verify.budget", "0 means that no request may be lost", "budget is %d", v.Budget)
	}
}

func (c Check) problems(f *finder, path string) {
	var kinds []string
	if c.HTTP != nil {
		kinds = append(kinds, "http")
		c.HTTP.problems(f, path+".http")
	}
	if c.Job != "" {
		kinds = append(kinds, "job")
	}
	if c.Prometheus != nil {
		kinds = append(kinds, "prometheus")
		c.Prometheus.problems(f, path+".prometheus")
	}
	switch len(kinds) {
	case 0:
		f.add(path, "add one of http, job, prometheus", "the check asks nothing")
	case 1:
	default:
		f.add(path, "make a check of each", "the check asks %s at once", strings.Join(kinds, " and "))
	}
	f.duration(path+".timeout", c.Timeout, true)
}

func (c HTTPCheck) problems(f *finder, path string) {
	f.address(path+".url", c.URL)
	if c.URL != "" && (c.Service != "" || c.Path != "") {
		f.add(path+".url", "keep the url with its path, or service and path", "the check names a URL, and a service or path as well")
	}
	if c.Status != 0 && (c.Status < 100 || c.Status > 599) {
		f.add(path+".status", "choose 100 to 599, or leave it out for any of 200 to 399", "%d is not an HTTP status", c.Status)
	}
	if c.Times < 0 {
		f.add(path+".times", "count from 1", "times is %d", c.Times)
	}
}

func (c PrometheusCheck) problems(f *finder, path string) {
	if c.Address == "" {
		f.add(path+".address", "write it like http://prometheus:9090", "the Prometheus server has no address")
	}
	f.address(path+".address", c.Address)
	if strings.TrimSpace(c.Query) == "" {
		f.add(path+".query", "write PromQL", "there is no query")
	}
	switch {
	case c.Min == nil && c.Max == nil:
		f.add(path, "add min, max or both", "any value would be good")
	case c.Min != nil && c.Max != nil && *c.Min > *c.Max:
		f.add(path+".min", "exchange them", "min %s is more than max %s, so that no value is good", number(*c.Min), number(*c.Max))
	}
}

// address wants an http or https URL with a host, or none.
func (f *finder) address(path, text string) {
	if text == "" || variable(text) {
		return
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		// The text is not shown: it may hold a password.
		f.add(path, "write it like https://web.example.com/healthz", "this is not the URL of a web server")
	}
}

// duration wants none, or one that is not negative, or even positive.
func (f *finder) duration(path, text string, positive bool) {
	if text == "" {
		return
	}
	if d, err := time.ParseDuration(text); err != nil || d < 0 || positive && d == 0 {
		f.add(path, "write it like 90s, 20m or 1h30m", "%q is not a duration", text)
	}
}

// variable tells whether a value has a variable that a pipeline sets later.
func variable(text string) bool { return strings.Contains(text, "#{") }

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
