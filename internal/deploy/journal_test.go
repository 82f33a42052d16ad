package deploy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

const noPods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "example.com/web:%d"}]}}}
`

func TestRollbackBringsManifestsAndConfigurationBack(t *testing.T) {
	b := setupMeasured(t)
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1", "MODE=graceful")+ready, webService, fmt.Sprintf(settings, "hello"), extra)
	b.deployFirst(t)
	b.write(t, web(image, 1, "VERSION=2", "MODE=graceful")+ready, webService, fmt.Sprintf(settings, "bonjour"))
	b.deployWell(t, b.measured(plan.Rolling))
	b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))

	rollback := RollbackRequest{App: "web", Namespace: b.namespace, Log: b.log}
	d, err := New(b.config).Rollback(t.Context(), rollback)
	if err != nil {
		t.Fatal(err)
	}
	if d.Outcome != pipeline.Succeeded || d.Revision != 3 || d.Previous != 2 {
		t.Errorf("rollback: %+v", d)
	}
	if d.Verdict == nil || d.Verdict.Lost != 0 {
		t.Errorf("verdict of the rollback %+v, want 0 lost", d.Verdict)
	}
	if got := b.data(t, "settings")["greeting"]; got != "hello" {
		t.Errorf("greeting %q, want hello", got)
	}
	b.data(t, "extra") // It is back.

	rollback.To = 2
	if d, err = New(b.config).Rollback(t.Context(), rollback); err != nil || d.Revision != 4 || d.Outcome != pipeline.Succeeded {
		t.Errorf("rollback to revision 2: %+v, %v", d, err)
	}
	if got := b.data(t, "settings")["greeting"]; got != "bonjour" {
		t.Errorf("greeting %q, want bonjour", got)
	}
	rollback.To = 9
	if d, err = New(b.config).Rollback(t.Context(), rollback); err != nil || d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "no revision 9") {
		t.Errorf("rollback to a revision that is not there: %+v, %v", d, err)
	}
}

func (b *bundle) data(t *testing.T, name string) map[string]string {
	t.Helper()
	live, err := b.cluster.Get(t.Context(), b.ref("v1", "ConfigMap", name))
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := unstructured.NestedStringMap(live.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPruneTakesOnlyWhatTheRevisionBeforeOwned(t *testing.T) {
	b := setup(t)
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n"
	b.write(t, fmt.Sprintf(settings, "hello"), extra, strings.Replace(extra, "extra", "taken", 1), claim)
	b.deployWell(t, b.request())
	b.applyAs(t, "anna", strings.Replace(extra, "extra", "foreign", 1))
	// Somebody has taken this one over for another application.
	b.applyAs(t, "anna", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, labels: {applyset.kubernetes.io/part-of: other}}\n")
	b.write(t, fmt.Sprintf(settings, "hello"))
	b.deployWell(t, b.request())
	b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))
	for _, kept := range []kube.Ref{b.ref("v1", "ConfigMap", "foreign"), b.ref("v1", "ConfigMap", "taken"), b.ref("v1", "PersistentVolumeClaim", "data"), b.ref("v1", "ConfigMap", "settings")} {
		if _, err := b.cluster.Get(t.Context(), kept); err != nil {
			t.Errorf("%s: %v, want it kept", kept, err)
		}
	}
}

func TestTheJournalKeepsTheLastRevisions(t *testing.T) {
	b := setup(t)
	for n := range journal.Kept + 3 {
		b.write(t, fmt.Sprintf(settings, fmt.Sprint("n", n)))
		b.deployWell(t, b.request())
	}
	history, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != journal.Kept || history[0].Revision != journal.Kept+3 {
		t.Errorf("%d revisions, the last one %d; want %d and %d", len(history), history[0].Revision, journal.Kept, journal.Kept+3)
	}
}

func TestManifestsTooLargeForTheJournalAreRefused(t *testing.T) {
	b := setup(t)
	var documents []string
	for n := range 4 {
		noise := make([]byte, 700<<10)
		for i := range noise {
			noise[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rand.IntN(64)]
		}
		documents = append(documents, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: noise%d}\ndata: {noise: %s}\n", n, noise))
	}
	b.write(t, documents...)
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "the journal keeps each revision in a Secret") {
		t.Errorf("outcome %s: %s", d.Outcome, d.Message)
	}
	b.wantGone(t, b.ref("v1", "ConfigMap", "noise0"))
}

func TestTwoDeployersAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("the second waits for the first", func(t *testing.T) {
		b := setup(t)
		b.write(t, fmt.Sprintf(noPods, 1))
		var group sync.WaitGroup
		revisions := make([]pipeline.Deployment, 3)
		for i := range revisions {
			group.Go(func() { revisions[i] = b.deployWell(t, b.request()) })
		}
		group.Wait()
		seen := map[int]bool{}
		for _, d := range revisions {
			seen[d.Revision] = true
		}
		if len(seen) != len(revisions) || !seen[1] || !seen[len(revisions)] {
			t.Errorf("revisions %v, want 1 to %d", seen, len(revisions))
		}
	})
	t.Run("the second is told who holds the lease", func(t *testing.T) {
		b := setup(t)
		b.write(t, fmt.Sprintf(noPods, 1))
		held, release := make(chan struct{}), make(chan struct{})
		first := b.config
		first.Holder = "anna's laptop"
		first.reached = func(point string) {
			if point == "journal" {
				close(held)
				<-release
			}
		}
		done := make(chan error, 1)
		go func() {
			_, err := New(first).Deploy(t.Context(), b.request())
			done <- err
		}()
		<-held
		second := b.config
		second.LeaseWait = 300 * time.Millisecond
		_, err := New(second).Deploy(t.Context(), b.request())
		if err == nil || !strings.Contains(err.Error(), "held by anna's laptop") || !strings.Contains(err.Error(), "deploying web") {
			t.Errorf("error %v, want the holder in it", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("one that was displaced writes nothing more", func(t *testing.T) {
		b := setup(t)
		b.write(t, fmt.Sprintf(noPods, 1))
		held, release := make(chan struct{}), make(chan struct{})
		paused := b.config
		paused.reached = func(point string) {
			if point == "journal" {
				close(held)
				<-release
			}
		}
		request := b.request()
		request.Key = "web-1.Deploy.1.production"
		done := make(chan error, 1)
		go func() {
			_, err := New(paused).Deploy(t.Context(), request)
			done <- err
		}()
		<-held
		b.deployWell(t, request) // The same job, given to another process.
		b.write(t, fmt.Sprintf(noPods, 2))
		b.deployWell(t, b.request())
		close(release)
		if err := <-done; err == nil {
			t.Error("the displaced deployer succeeded, want an error")
		}
		b.wantOneRevision(t, 2, pipeline.Succeeded)
		if got := b.image(t); got != "example.com/web:2" {
			t.Errorf("image %s, want that of revision 2", got)
		}
	})
}

func TestAStoppedDeploymentIsResumedWithItsKey(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(noPods, 1))
	request := b.request()
	request.Key = "web-1.Deploy.1.production"
	ctx, cancel := context.WithCancelCause(t.Context())
	config := b.config
	config.reached = func(point string) {
		if point == "journal" {
			cancel(pipeline.ErrShutdown)
		}
	}
	if _, err := New(config).Deploy(ctx, request); !errors.Is(err, pipeline.ErrShutdown) {
		t.Errorf("error %v, want the cause of the stop", err)
	}
	d := b.deployWell(t, request)
	if d.Revision != 1 {
		t.Errorf("revision %d, want 1", d.Revision)
	}
	b.wantOneRevision(t, 1, pipeline.Succeeded)
}

func TestWhatIsUnchangedIsNotWrittenAgain(t *testing.T) {
	b := setup(t)
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	versions := func() (found []string) {
		for _, ref := range []kube.Ref{b.ref("apps/v1", "Deployment", "web"), b.ref("v1", "Service", "web")} {
			live, err := b.cluster.Get(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, fmt.Sprintf("%s sequence %d generation %d", ref, plan.SequenceOf(live), live.GetGeneration()))
		}
		return found
	}
	b.write(t, fmt.Sprintf(noPods, 1), service)
	b.deployFirst(t)
	first := versions()
	b.deployFirst(t)
	if got := versions(); !slices.Equal(got, first) {
		t.Errorf("an unchanged deployment makes %v of %v", got, first)
	}
	b.write(t, fmt.Sprintf(noPods, 2), service)
	b.deployKilled(t, Request{Key: "never-again", Root: b.root, Deploy: pipeline.Deploy{App: "web", Namespace: b.namespace, Verify: pipeline.Verify{Off: true}}}, "journal")
	b.write(t, fmt.Sprintf(noPods, 1), service)
	b.config.LeaseWait = time.Minute
	b.deployFirst(t)
	for _, got := range versions() { // The killed one might only be paused, and go on to write.
		if !strings.Contains(got, "sequence 4") {
			t.Errorf("%s, want sequence 4", got)
		}
	}
}

func TestAnInterruptedRevisionIsClosedByTheNextDeployment(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(noPods, 1))
	b.deployWell(t, b.request())
	b.write(t, fmt.Sprintf(noPods, 2), extra)
	b.deployKilled(t, Request{Deploy: pipeline.Deploy{App: "web", Namespace: b.namespace}, Root: b.root, Key: "never-again"}, "deploying apply Deployment web")
	b.config.LeaseWait = time.Minute
	b.write(t, fmt.Sprintf(noPods, 3))
	d := b.deployWell(t, b.request())
	if d.Revision != 3 || d.Previous != 1 {
		t.Errorf("revision %d after %d, want 3 after 1", d.Revision, d.Previous)
	}
	b.wantGone(t, b.ref("v1", "ConfigMap", "extra")) // The interrupted revision had brought it.
}

func TestReplicasAreLeftToTheAutoscaler(t *testing.T) {
	b := setup(t)
	hpa := `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 9
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`
	image := webImage(t)
	b.write(t, web(image, 2, "VERSION=1")+ready, webService)
	b.deployFirst(t)
	b.write(t, web(image, 2, "VERSION=2")+ready, webService, hpa)
	b.deployWell(t, b.unmeasured(plan.Rolling))
	b.wantReplicas(t, 2) // Not 1, though the field was ours and has been left out.
	b.applyAs(t, "scaler", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n")
	b.write(t, web(image, 2, "VERSION=3")+ready, webService, hpa)
	b.deployWell(t, b.unmeasured(plan.Rolling))
	b.wantReplicas(t, 3)
}

func (b *bundle) wantReplicas(t *testing.T, want int64) {
	t.Helper()
	live, err := b.cluster.Get(t.Context(), b.ref("apps/v1", "Deployment", "web"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := unstructured.NestedInt64(live.Object, "spec", "replicas"); err != nil || got != want {
		t.Errorf("%d replicas, %v; want %d", got, err, want)
	}
}
