package verdict

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// target is an application in this process, behind a relay in a pod and its
// Service, in a namespace of its own. It counts what it receives.
type target struct {
	config   Config // of the deployments that measure it
	received atomic.Int64
	wrong    atomic.Int64 // requests that are not as they were to be sent
	log      *waittest.Log
}

// serveTarget answers all requests, but hangs up instead on the last of each
// so many on one connection, when that is not 0.
func serveTarget(t *testing.T, cluster *kube.Cluster, hangUp int, want func(*http.Request, string) bool) *target {
	t.Helper()
	straight := kubetest.Connect(t) // cluster may be a way with faults
	server, err := url.Parse(straight.Server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(server.Hostname(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	x := &target{log: &waittest.Log{}}
	var served sync.WaitGroup
	t.Cleanup(func() { listener.Close(); served.Wait() })
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); x.serve(conn, hangUp, want) }()
		}
	})
	namespace := kubetest.Namespace(t, straight)
	made := madeImages(t)
	x.config = Config{
		Cluster: cluster, Log: runbook.New(x.log, nil), App: "web", Namespace: namespace, Revision: 2,
		AgentImage: made.agentImage, Unschedulable: time.Minute,
	}
	x.service(t, made.relay, listener.Addr())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the runbook:\n%s", x.log)
		}
	})
	return x
}

func (x *target) serve(conn net.Conn, hangUp int, want func(*http.Request, string) bool) {
	reader := bufio.NewReader(conn)
	for n := 1; ; n++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		x.received.Add(1)
		if want != nil && !want(request, string(body)) {
			x.wrong.Add(1)
		}
		if hangUp > 0 && n%hangUp == 0 {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if request.Close {
			return
		}
	}
}

// service makes a Service whose one pod leads out of the cluster to this
// process: the API server's proxy goes to pods only.
func (x *target) service(t *testing.T, relay string, address net.Addr) {
	t.Helper()
	x.apply(t, `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`)
	x.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: relay, labels: {app: web}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: relay
    image: %s
    args: ["%s"]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, relay, address))
	waittest.Until(t, "the Service has an endpoint", func() bool {
		slices, err := x.config.Cluster.EndpointSlices(t.Context(), x.config.Namespace, "web")
		if err != nil {
			t.Fatal(err)
		}
		return len(slices) > 0 && len(slices[0].Endpoints) > 0 && *slices[0].Endpoints[0].Conditions.Ready
	})
}

// apply applies an object of the target's namespace as somebody else would.
func (x *target) apply(t *testing.T, document string) {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
		t.Fatal(err)
	}
	if object.GetKind() != "Namespace" {
		object.SetNamespace(x.config.Namespace)
	}
	if _, err := kubetest.Connect(t).Apply(t.Context(), &object, kube.ApplyOptions{Manager: "test", Force: true}); err != nil {
		t.Fatal(err)
	}
}

func (x *target) watchman(t *testing.T, verify pipeline.Verify) *Watchman {
	t.Helper()
	if err := checkVerify(verify); err != nil {
		t.Fatal(err)
	}
	config := x.config
	config.Verify = verify
	w := &Watchman{Config: config, service: "web"}
	t.Cleanup(func() {
		x.verifyEnds(t, w)
	})
	return w
}

// verifyEnds ends the requests and checks that nothing of them is left.
func (x *target) verifyEnds(t *testing.T, w *Watchman) {
	w.Verdict()
	if err := x.left(); err != nil {
		t.Error(err)
	}
}

// left says which pods and Secrets of probers are left and not on their way
// out.
func (x *target) left() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, kind := range []string{"Pod", "Secret"} {
		objects, err := x.config.Cluster.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: kind}, x.config.Namespace, proberLabel)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.GetDeletionTimestamp() == nil {
				return fmt.Errorf("%s %s is left", kind, o.GetName())
			}
		}
	}
	return nil
}

func startWell(t *testing.T, w *Watchman) {
	t.Helper()
	if err := w.start(t.Context(), reachTime); err != nil {
		t.Fatal(err)
	}
}

// The test of the whole: in each way of sending, each request arrives once as
// it was asked for, and each one that is lost is counted as that.
func TestEachWayCountsWhatIsLost(t *testing.T) {
	t.Parallel()
	post := pipeline.Verify{Method: "POST", Path: "/orders", Header: map[string]string{"X-Token": "s3cret"}, Body: "an order"}
	asked := func(r *http.Request, body string) bool {
		return r.Method == "POST" && strings.HasSuffix(r.RequestURI, "/orders") && r.Header.Get("X-Token") == "s3cret" && body == "an order"
	}
	for _, c := range []struct {
		name, via string
		verify    pipeline.Verify
		repeats   bool // the way itself may send a request again
	}{
		{name: "direct GET", via: "the node port", verify: pipeline.Verify{From: "direct"}},
		{name: "direct HEAD", via: "the node port", verify: pipeline.Verify{From: "direct", Method: "HEAD"}},
		{name: "direct POST", via: "the node port", verify: post},
		{name: "proxy GET", via: "the API server's service proxy", verify: pipeline.Verify{From: "proxy"}, repeats: true},
		{name: "proxy POST", via: "the API server's service proxy", verify: post},
		{name: "pod GET", via: "pod towline-probe-web-", verify: pipeline.Verify{From: "pod"}},
		{name: "pod HEAD", via: "pod towline-probe-web-", verify: pipeline.Verify{From: "pod", Method: "HEAD"}},
		{name: "pod POST", via: "pod towline-probe-web-", verify: post},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var want func(*http.Request, string) bool
			if c.verify.Method == "POST" {
				want = asked
			}
			x := serveTarget(t, kubetest.Connect(t), 3, want)
			c.verify.From, _, _ = strings.Cut(c.name, " ")
			w := x.watchman(t, c.verify)
			startWell(t, w)
			w.collect(t.Context(), 300, time.Minute)
			v := *w.Verdict()
			if got := int(x.received.Load()); got != v.Requests && (!c.repeats || got < v.Requests) {
				t.Errorf("the application received %d requests: %+v", got, v)
			}
			if x.wrong.Load() > 0 {
				t.Errorf("%d of %d requests are not as they were asked for", x.wrong.Load(), x.received.Load())
			}
			if v.Requests < 200 || v.KeepAlive.Lost == 0 && !c.repeats || !strings.HasPrefix(v.Via, c.via) || (v.Partial != "") != c.repeats {
				t.Errorf("verdict by %s: %+v", v.Via, v)
			}
			if c.verify.From != "proxy" && (v.Fresh.Lost != 0 || v.Hint == "") {
				t.Errorf("the verdict blames more than the kept connections: %+v", v)
			}
			t.Logf("%s by %s: fresh %+v, kept %+v, received %d", v, v.Via, v.Fresh, v.KeepAlive, x.received.Load())
			if log := x.log.String(); strings.Contains(log, "s3cret") || strings.Contains(log, "an order") {
				t.Errorf("the log shows what may be secret:\n%s", log)
			}
		})
	}
}

func TestAWayThatIsNotOpenIsNamed(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	good := x.config.AgentImage
	for _, c := range []struct {
		name, from, want string
		image            func(context.Context) (string, error)
	}{
		{"a pod without an image", "pod", "towline agent push", nil},
		{"a pod whose image is not there", "pod", "not found|ImagePullBackOff", func(context.Context) (string, error) {
			ref, err := good(t.Context())
			return strings.Replace(ref, "towline-agent", "nobodys", 1), err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.config.AgentImage = c.image
			w := x.watchman(t, pipeline.Verify{From: c.from})
			err := w.start(t.Context(), 0)
			if err == nil || !containsAny(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("without a way straight to it", func(t *testing.T) {
		x.apply(t, `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: ClusterIP, ports: [{port: 80, targetPort: 8080}]}}`)
		err := x.watchman(t, pipeline.Verify{From: "direct"}).start(t.Context(), 0)
		if err == nil || !strings.Contains(err.Error(), "Set verify.from to pod or proxy") {
			t.Errorf("direct: %v", err)
		}
		x.config.AgentImage = func(context.Context) (string, error) { return "", fmt.Errorf("the registry is full") }
		w := x.watchman(t, pipeline.Verify{})
		startWell(t, w)
		w.collect(t.Context(), 20, time.Minute)
		if v := w.Verdict(); v.Via != "the API server's service proxy" || !strings.Contains(x.log.String(), "the registry is full") {
			t.Errorf("auto went by %s:\n%s", v.Via, x.log)
		}
		x.config.AgentImage = good
		w = x.watchman(t, pipeline.Verify{})
		startWell(t, w)
		w.collect(t.Context(), 20, time.Minute)
		if v := w.Verdict(); !strings.HasPrefix(v.Via, "pod ") {
			t.Errorf("auto went by %s:\n%s", v.Via, x.log)
		}
	})
}

func containsAny(text, words string) bool {
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func TestAProberPodIsAllowedWhereLeastIs(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	x.apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}`, x.config.Namespace))
	w := x.watchman(t, pipeline.Verify{From: "pod"})
	startWell(t, w)
	w.collect(t.Context(), 50, time.Minute)
	pods, err := x.config.Cluster.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, x.config.Namespace, proberLabel)
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods, %v", len(pods), err)
	}
	text, err := json.Marshal(pods[0].Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{`"serviceAccountToken"`, `"app":"web"`, `"token"`} {
		if strings.Contains(string(text), never) {
			t.Errorf("the pod has %s: %s", never, text)
		}
	}
	if v := w.Verdict(); v.Lost != 0 || v.Requests < 50 {
		t.Errorf("verdict %+v", v)
	}
}

func TestAProberPodOutlivesTheWayToIt(t *testing.T) {
	t.Parallel()
	proxy := kubetest.Faulty(t, "", kubetest.Faults{})
	x := serveTarget(t, proxy.Cluster, 0, nil)
	w := x.watchman(t, pipeline.Verify{From: "pod"})
	startWell(t, w)
	before := w.collect(t.Context(), 50, time.Minute).Requests
	proxy.Arm(kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Away, For: 3 * time.Second}}})
	_, _ = x.config.Cluster.Services(t.Context(), x.config.Namespace) // it is this that makes the server go away
	if len(proxy.Hits()) == 0 {
		t.Fatal("the API server did not go away")
	}
	w.Mark("while the API server is away")
	after := w.collect(t.Context(), before+500, time.Minute)
	v := *w.Verdict()
	if after.Requests < before+500 || v.Requests != int(x.received.Load()) || v.Lost != 0 || v.Partial != "" {
		t.Errorf("%d requests before, the application received %d: %+v", before, x.received.Load(), v)
	}
	if len(v.Marks) != 2 || v.Marks[1].Text != "while the API server is away" {
		t.Errorf("marks %+v", v.Marks)
	}
}

func TestALostProberPodIsSaidInTheVerdict(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	w := x.watchman(t, pipeline.Verify{From: "pod"})
	startWell(t, w)
	before := w.collect(t.Context(), 100, time.Minute)
	p, ok := w.current().(*podProber)
	if !ok {
		t.Fatal("the prober is in no pod")
	}
	if err := x.config.Cluster.Delete(t.Context(), p.place, ""); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the pod has gone", func() bool {
		_, err := x.config.Cluster.Get(t.Context(), p.place)
		return kube.IsNotFound(err)
	})
	v := *w.Verdict()
	if v.Requests < before.Requests || !strings.Contains(v.Partial, "the prober's pod was lost") {
		t.Errorf("%d requests before: %+v", before.Requests, v)
	}
}

// childWatch is the variable by which this test binary becomes a deployer that
// is killed while a prober in a pod counts.
const childWatch = "TOWLINE_TEST_WATCH"

func TestTheDeployerThatIsKilledWhileAPodCounts(t *testing.T) {
	namespace, image, ok := strings.Cut(os.Getenv(childWatch), " ")
	if !ok {
		return // It is the child of the next test.
	}
	w := &Watchman{service: "web", Config: Config{
		Cluster: kubetest.Connect(t), Log: runbook.New(os.Stdout, nil), App: "web", Namespace: namespace, Revision: 2, Verify: pipeline.Verify{From: "pod"},
		AgentImage: func(context.Context) (string, error) { return image, nil }, Unschedulable: time.Minute,
	}}
	if err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Mark("switch")
	w.collect(t.Context(), 200, time.Minute)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestNothingThatAPodCountsIsLostWithItsDeployer(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	image, err := x.config.AgentImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheDeployerThatIsKilledWhileAPodCounts$")
	child.Env = append(os.Environ(), childWatch+"="+x.config.Namespace+" "+image)
	out, _ := child.CombinedOutput()
	if child.ProcessState == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process was to be killed:\n%s", out)
	}
	counted := int(x.received.Load())
	w := x.watchman(t, pipeline.Verify{From: "pod"})
	w.resumed = true
	if err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := w.collect(t.Context(), counted+100, time.Minute)
	if v.Requests < counted+100 {
		t.Errorf("%d requests were counted when the deployer died, then %d", counted, v.Requests)
	}
	v = *w.Verdict()
	if v.Requests != int(x.received.Load()) || v.Lost != 0 || v.Partial != "" || len(v.Marks) < 3 || v.Marks[1].Text != countedFromHere || v.Marks[2].Text != "switch" {
		t.Errorf("the application received %d requests: %+v", x.received.Load(), v)
	}
}

func TestWhatEarlierDeploymentsHaveLeftIsRemoved(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	w := x.watchman(t, pipeline.Verify{From: "pod"})
	startWell(t, w)
	w.collect(t.Context(), 20, time.Minute)
	w.Drop() // as an interrupted deployment does
	if err := x.left(); err == nil {
		t.Fatal("an interrupted deployment has removed its prober")
	}
	second := x.watchman(t, pipeline.Verify{From: "direct"})
	second.Revision++
	if err := second.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.left(); err != nil {
		t.Error(err)
	}
	if v := second.Verdict(); v.Lost > 0 || v.Partial != "" {
		t.Errorf("verdict %+v", v)
	}
}
