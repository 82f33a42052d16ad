package kube_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func parseObject(t testing.TB, namespace, document string) *unstructured.Unstructured {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetNamespace(namespace)
	return &object
}

// unchangedDocuments are objects of kinds whose lists and defaults differ in
// their ways.
var unchangedDocuments = map[string]string{
	"config": `
apiVersion: v1
kind: ConfigMap
metadata: {name: o, labels: {app: web, revision: "1"}, annotations: {note: hello}}
data: {greeting: hello}`,
	"service": `
apiVersion: v1
kind: Service
metadata: {name: o, labels: {app: web}}
spec:
  selector: {app: web, tier: front}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]`,
	"workload": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: o, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: a, operator: Exists}]
      volumes: [{name: scratch, emptyDir: {}}, {name: settings, configMap: {name: settings}}]
      containers:
      - name: web
        image: web
        args: [--one, --two]
        ports: [{containerPort: 8080}, {containerPort: 53, protocol: UDP}]
        env: [{name: A, value: a}, {name: B, value: b}]
        volumeMounts: [{name: scratch, mountPath: /tmp}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}
        resources: {requests: {cpu: 50m, memory: 64Mi}}
      - {name: sidecar, image: sidecar}`,
	"autoscaler": `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: o}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: o}
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]`,
	"ingress": `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: o}
spec:
  rules: [{host: web.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: o, port: {number: 80}}}}]}}]`,
	"role": `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: o}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]`,
	"budget": `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: o}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}`,
}

func TestWhatWasJustAppliedIsUnchanged(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	for name, document := range unchangedDocuments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := parseObject(t, namespace, document)
			live, err := c.Apply(t.Context(), object, kube.ApplyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !kube.Unchanged(live, object) {
				t.Errorf("counts as changed:\n%v", live.GetManagedFields())
			}
		})
	}
}

// TestAChangeIsSeen changes the desired object, or has somebody change the
// live one, and compares with what the API server says of it.
func TestAChangeIsSeen(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	for name, change := range map[string]struct{ document, from, to string }{
		"a value":                         {"config", "greeting: hello", "greeting: bonjour"},
		"a field more":                    {"config", "greeting: hello", "greeting: hello, farewell: bye"},
		"a field less":                    {"config", "{greeting: hello}", "{}"},
		"a label less":                    {"config", `app: web, revision: "1"`, "app: web"},
		"no annotations at all":           {"config", ", annotations: {note: hello}", ""},
		"a selector":                      {"service", ", tier: front", ""},
		"a port":                          {"service", "port: 53", "port: 54"},
		"a protocol":                      {"service", "port: 53, protocol: UDP", "port: 53"},
		"a default that is said":          {"service", "port: 80,", "port: 80, protocol: TCP,"},
		"replicas":                        {"workload", "replicas: 0", "replicas: 1"},
		"the image of the second":         {"workload", "image: sidecar", "image: sidecar:2"},
		"an argument":                     {"workload", "--two", "--three"},
		"the order of the variables":      {"workload", "{name: A, value: a}, {name: B, value: b}", "{name: B, value: b}, {name: A, value: a}"},
		"a variable less":                 {"workload", "{name: A, value: a}, ", ""},
		"a container less":                {"workload", "      - {name: sidecar, image: sidecar}", ""},
		"the kind of a volume":            {"workload", "emptyDir: {}", "emptyDir: {medium: Memory}"},
		"another way to write a quantity": {"workload", "cpu: 50m", "cpu: 0.05"},
		"a probe":                         {"workload", "periodSeconds: 2", "periodSeconds: 3"},
		"a toleration":                    {"workload", "operator: Exists", "operator: Equal, value: b"},
		"a metric":                        {"autoscaler", "averageUtilization: 80", "averageUtilization: 70"},
		"a rule of an Ingress":            {"ingress", "number: 80", "number: 81"},
		"a verb of a Role":                {"role", "get, list", "get"},
		"a share":                         {"budget", "50%", "40%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := kubetest.Namespace(t, c)
			document := unchangedDocuments[change.document]
			if !strings.Contains(document, change.from) {
				t.Fatalf("%q is not in the document", change.from)
			}
			live, err := c.Apply(t.Context(), parseObject(t, namespace, document), kube.ApplyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if kube.Unchanged(live, parseObject(t, namespace, strings.Replace(document, change.from, change.to, 1))) {
				t.Error("counts as unchanged")
			}
		})
	}
}

func TestDriftIsSeen(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	object := parseObject(t, namespace, unchangedDocuments["config"])
	other := func(value string) *unstructured.Unstructured {
		return parseObject(t, namespace, strings.Replace("{apiVersion: v1, kind: ConfigMap, metadata: {name: o}, data: {VALUE}}", "VALUE", value, 1))
	}
	for _, c2 := range []struct {
		name, data string
		want       bool
	}{
		{"somebody has set the same value, which is then owned by both", "greeting: hello", true},
		{"somebody has added a field of his own", "other: field", true},
		{"somebody has changed a field", "greeting: salut", false},
	} {
		if _, err := c.Apply(t.Context(), object, kube.ApplyOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		live, err := c.Apply(t.Context(), other(c2.data), kube.ApplyOptions{Manager: "anna", Force: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := kube.Unchanged(live, object); got != c2.want {
			t.Errorf("%s: unchanged %t, want %t", c2.name, got, c2.want)
		}
	}
	live, err := c.Get(t.Context(), kube.RefOf(object))
	if err != nil {
		t.Fatal(err)
	}
	if kube.Unchanged(live, other("greeting: salut")) {
		t.Error("what somebody else has applied counts as ours")
	}
}

func TestIgnoredLabelsMayDiffer(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	document := unchangedDocuments["config"]
	live, err := c.Apply(t.Context(), parseObject(t, namespace, document), kube.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := parseObject(t, namespace, strings.Replace(document, `revision: "1"`, `revision: "2"`, 1))
	if kube.Unchanged(live, next) || !kube.Unchanged(live, next, "revision") || kube.Unchanged(live, next, "app") {
		t.Error("want a difference in revision, and none when that is ignored")
	}
	if got := next.GetLabels()["revision"]; got != "2" {
		t.Errorf("the desired object was changed: revision %q", got)
	}
}

func FuzzUnchanged(f *testing.F) {
	f.Add(`{"f:data":{"f:a":{}}}`, `{"data":{"a":"b"}}`)
	f.Add(`{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}`, `{"spec":{"ports":[{"port":80,"protocol":"TCP"}]}}`)
	f.Add(`{"f:metadata":{"f:finalizers":{"v:\"a\"":{}}}}`, `{"metadata":{"finalizers":["a"]}}`)
	f.Add(`{"f:x":{"i:0":{}}}`, `{"x":[1]}`)
	f.Fuzz(func(_ *testing.T, owned, text string) {
		var object unstructured.Unstructured
		if yaml.Unmarshal([]byte(text), &object.Object) != nil || object.Object == nil {
			return
		}
		if _, ok := object.Object["metadata"].(map[string]any); object.Object["metadata"] != nil && !ok {
			return
		}
		live := object.DeepCopy()
		live.SetManagedFields([]metav1.ManagedFieldsEntry{{
			Manager: kube.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: live.GetAPIVersion(),
			FieldsV1: metav1.NewFieldsV1(owned),
		}})
		kube.Unchanged(live, &object)
	})
}
