package pipeline

import (
	"reflect"
	"strings"
)

// Deploy is the configuration of Deploy/Kubernetes.
type Deploy struct {
	Cluster   string            `json:"cluster,omitempty" doc:"cluster to deploy to: a name given to towline cluster add, or a context of the server's kubeconfig; default its current context"`
	Namespace string            `json:"namespace,omitempty" doc:"namespace of the objects, created when missing; default the one in the manifests, else default"`
	App       string            `json:"app,omitempty" doc:"name under which the cluster keeps this application's revisions, default the pipeline's name"`
	Manifests string            `json:"manifests,omitempty" doc:"file, directory of YAML files, or directory with a kustomization.yaml, in the source; default k8s/"`
	Helm      *Helm             `json:"helm,omitempty" doc:"Helm chart to render instead of manifests"`
	Variables map[string]string `json:"variables,omitempty" doc:"values of ${NAME} in the manifests; with none given nothing is substituted"`
	Images    map[string]string `json:"images,omitempty" doc:"which image each named container image gets, e.g. web: '#{image.ImageURI}'"`
	Strategy  string            `json:"strategy,omitempty" doc:"how old pods give way to new ones: rolling (default) replaces them one by one, immutable brings a whole new set beside the old one and then detaches the old one, blue-green brings a whole new set that gets no request until it is promoted" jsonschema:"enum=rolling,enum=immutable,enum=blue-green"`
	Method    string            `json:"method,omitempty" doc:"how changes are written: api (default) by requests to the API server, kubectl by kubectl commands that a person could repeat" jsonschema:"enum=api,enum=kubectl"`
	Timeout   string            `json:"timeout,omitempty" doc:"longest the rollout may take without its configured waits, default 10m"`
	Verify    Verify            `json:"verify,omitzero" doc:"requests sent through the whole rollout, whose losses are the verdict"`

	Surge          string `json:"surge,omitempty" doc:"rolling: how many pods more than wanted may run at a time, a number or a share such as 25%; default what the manifests say"`
	Cutover        string `json:"cutover,omitempty" doc:"immutable and blue-green: atomic (default) moves the Service by one write; union serves from both sets for a while, for load balancers that address pods; blue-green only" jsonschema:"enum=atomic,enum=union"`
	Route          string `json:"route,omitempty" doc:"blue-green: name of the HTTPRoute (Gateway API) whose weights move the requests instead of the Service's selector"`
	Propagation    string `json:"propagation,omitempty" doc:"how long every node and load balancer may take to hear of a change of endpoints, default 10s: nothing is ended sooner; 30s behind an ingress or a cloud's load balancer"`
	Analysis       string `json:"analysis,omitempty" doc:"how long requests are counted once the new pods serve and before the old ones go, default 5s"`
	Approval       bool   `json:"approval,omitempty" doc:"immutable and blue-green: true waits for towline promote before the requests move"`
	ApprovalWait   string `json:"approvalWait,omitempty" doc:"longest to wait for the approval before the deployment is aborted, default 24h"`
	ScaleDownDelay string `json:"scaleDownDelay,omitempty" doc:"immutable and blue-green: how long the old set stays whole after the cut-over, so that going back takes a second; default 30s"`
	Drain          string `json:"drain,omitempty" doc:"what to do when the drain rehearsal finds that the application cuts connections when it ends: warn (default), require stops the deployment, proxy puts a draining proxy into the pods, off rehearses nothing" jsonschema:"enum=warn,enum=require,enum=proxy,enum=off"`
	Checks         Checks `json:"checks,omitzero" doc:"questions that must be answered well before and after the requests move"`

	AllowOlder bool     `json:"allowOlder,omitempty" doc:"true deploys a commit though a newer one that contains it runs"`
	AsWritten  bool     `json:"asWritten,omitempty" doc:"true leaves the manifests as they are: nothing is completed for a rollout without loss"`
	Prune      []string `json:"prune,omitempty" doc:"kinds that may be deleted when the manifests have them no more though they are kept otherwise: Namespace, PersistentVolumeClaim, PersistentVolume, CustomResourceDefinition"`
	PullSecret string   `json:"pullSecret,omitempty" doc:"default auto: pods that pull from Towline's own registry get a pull secret of their own; off leaves that to the manifests" jsonschema:"enum=auto,enum=off"`
}

// Helm says which chart is rendered, and with what.
type Helm struct {
	Chart   string         `json:"chart" doc:"directory or .tgz of the chart, in the source"`
	Release string         `json:"release,omitempty" doc:"release name, default the application's"`
	Values  []string       `json:"values,omitempty" doc:"values files in the source, later ones win"`
	Set     map[string]any `json:"set,omitempty" doc:"values that win over the files, by their path such as image.tag"`
}

// Checks are asked on both sides of the cut-over.
type Checks struct {
	Before []Check `json:"before,omitempty" doc:"asked of the new pods before the requests move: with blue-green through the preview Service; a bad answer leaves the old pods untouched"`
	After  []Check `json:"after,omitempty" doc:"asked once the requests have moved; a bad answer brings the old pods back"`
}

// Check is one question. Exactly one of HTTP, Job and Prometheus is set.
type Check struct {
	Name       string           `json:"name,omitempty" doc:"what the log calls it"`
	HTTP       *HTTPCheck       `json:"http,omitempty" doc:"a request whose answer must be as expected"`
	Job        string           `json:"job,omitempty" doc:"name of a Job in the manifests that is run for this and must complete; the variable PREVIEW_HOST is the Service to test"`
	Prometheus *PrometheusCheck `json:"prometheus,omitempty" doc:"a query whose value must lie within limits"`
	Timeout    string           `json:"timeout,omitempty" doc:"longest the check may take to become good, default 1m"`
}

// HTTPCheck is a GET request and the answer that is expected.
type HTTPCheck struct {
	Path     string `json:"path,omitempty" doc:"path of the request, default /"`
	Service  string `json:"service,omitempty" doc:"Service to ask, default the one that is measured"`
	URL      string `json:"url,omitempty" doc:"URL to ask instead of a Service"`
	Status   int    `json:"status,omitempty" doc:"HTTP status that is expected, default any of 200 to 399"`
	Contains string `json:"contains,omitempty" doc:"text that the answer must contain"`
	Times    int    `json:"times,omitempty" doc:"how many good answers in a row are wanted, default 3"`
}

// PrometheusCheck is an instant query. Every sample must lie within the limits
// and there must be one at least.
type PrometheusCheck struct {
	Address string   `json:"address" doc:"address of the Prometheus server, e.g. http://prometheus:9090"`
	Query   string   `json:"query" doc:"PromQL; {{namespace}}, {{app}} and {{set}} stand for this deployment's"`
	Min     *float64 `json:"min,omitempty" doc:"least value that is good"`
	Max     *float64 `json:"max,omitempty" doc:"greatest value that is good"`
}

// Verify says what the prober sends during a deployment.
type Verify struct {
	Service string            `json:"service,omitempty" doc:"Service to probe, default the only one of the application"`
	URL     string            `json:"url,omitempty" doc:"URL to probe instead of a Service, e.g. https://web.example.com/healthz"`
	Path    string            `json:"path,omitempty" doc:"path of the request, default /"`
	Method  string            `json:"method,omitempty" doc:"HTTP method, default GET. A request is never sent twice, whatever its method" jsonschema:"enum=GET,enum=HEAD,enum=POST"`
	Header  map[string]string `json:"header,omitempty" doc:"headers of the request"`
	Body    string            `json:"body,omitempty" doc:"body of a POST"`
	From    string            `json:"from,omitempty" doc:"where the requests come from: auto (default) takes the first way that is open, direct this machine, proxy the API server's service proxy, pod a Pod inside the cluster" jsonschema:"enum=auto,enum=direct,enum=proxy,enum=pod"`
	Rate    int               `json:"rate,omitempty" doc:"requests per second, default 100; 0 keeps the default"`
	Off     bool              `json:"off,omitempty" doc:"true sends no requests: the deployment then has no verdict"`
	Budget  int               `json:"budget,omitempty" doc:"requests that may be lost before the deployment is reverted, default 0"`
}

// Given tells whether anything at all is said of what to send.
func (v Verify) Given() bool { return !reflect.ValueOf(v).IsZero() }

// String is the check in a few words: its name, or what it asks.
func (c Check) String() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.HTTP != nil && c.HTTP.URL != "":
		return "GET " + c.HTTP.URL
	case c.HTTP != nil:
		return "GET /" + strings.TrimPrefix(c.HTTP.Path, "/")
	case c.Prometheus != nil:
		return "query " + c.Prometheus.Query
	}
	return "Job " + c.Job
}
