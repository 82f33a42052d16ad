package job

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/waittest"
)

// plenty is more time than anything takes that is not meant to fail.
const plenty = 3 * time.Minute

// stand is what one test runs Jobs with: a namespace and a log of its own.
type stand struct {
	cluster   *kube.Cluster
	namespace string
	image     string
	log       *waittest.Log
}

func (s *stand) config(key string) Config {
	return Config{Method: s.cluster, Cluster: s.cluster, Log: runbook.New(s.log, nil), Key: key}
}

// job is the test's Job, named for a run of deployment number sequence.
func (s *stand) job(t *testing.T, does string, sequence int64) *unstructured.Unstructured {
	t.Helper()
	var object unstructured.Unstructured
	text := `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: ` + s.namespace + `}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: migrate, image: "` + s.image + `", args: [` + does + `]}]
`
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	named, _, err := manifest.UniqueJob(manifest.Object{Unstructured: &object}, manifest.JobRun{App: "web", Sequence: sequence, Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return named.Unstructured
}

func (s *stand) jobs(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	jobs, err := s.cluster.List(t.Context(), batchv1.SchemeGroupVersion.WithKind("Job"), s.namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// wantNoJob waits until the last Job is gone: its pods go first.
func (s *stand) wantNoJob(t *testing.T) {
	t.Helper()
	waittest.Until(t, "no Job is there", func() bool { return len(s.jobs(t)) == 0 })
}

func wantRefusal(t *testing.T, err error, parts ...string) {
	t.Helper()
	if !refusal.Is(err) {
		t.Fatalf("error %v, want a refusal", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("refusal %q\nwant %q in it", err, part)
		}
	}
}

func TestRun(t *testing.T) {
	cluster := kubetest.Connect(t)
	image := imagetest.Serve(t, cluster, "testdata/task")
	cases := map[string]func(*testing.T, *stand){
		"a Job that ends well is logged and kept":          endsWell,
		"a Job that fails says why":                        fails,
		"an image that cannot be pulled ends it early":     cannotStart,
		"a Job that takes too long is stopped":             takesTooLong,
		"a Job that is deleted in the middle is told":      deletedInTheMiddle,
		"a killed deployer finds the Job that it made":     found,
		"a Job of another deployment is not taken for it":  another,
		"a Job that is known and gone is not run again":    knownAndGone,
		"a deployment that has failed stops its Job":       stoppedWithTheDeployment,
		"a chatty Job does not fill the log":               chatty,
		"what is no Job is not run":                        noJob,
		"Jobs of earlier deployments are deleted in time":  swept,
		"a Job that its journal cannot take is not waited": journalFails,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stand{cluster: cluster, namespace: kubetest.Namespace(t, cluster), image: image, log: &waittest.Log{}}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the runbook:\n%s", s.log)
				}
			})
			run(t, s)
		})
	}
}

func endsWell(t *testing.T, s *stand) {
	var made types.UID
	config := s.config("k")
	config.Made = func(_ context.Context, uid types.UID) error { made = uid; return nil }
	done, err := Run(t.Context(), config, s.job(t, "done", 7), plenty)
	if err != nil {
		t.Fatal(err)
	}
	jobs := s.jobs(t)
	if len(jobs) != 1 || jobs[0].GetUID() != done.UID || jobs[0].GetName() != done.Name || made != done.UID || done.Found {
		t.Errorf("%d Jobs are there, done %+v, made %s", len(jobs), done, made)
	}
	if !strings.Contains(done.Tail, "| schema is at version 7") {
		t.Errorf("tail %q", done.Tail)
	}
	for _, want := range []string{"POST /apis/batch/v1/namespaces/" + s.namespace + "/jobs", "| task begins", "| schema is at version 7", done.Name + ": done"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

func fails(t *testing.T, s *stand) {
	_, err := Run(t.Context(), s.config("k"), s.job(t, "fail", 7), plenty)
	wantRefusal(t, err, "Job migrate-7-1-", "BackoffLimitExceeded", "| boom: relation does not exist")
	if len(s.jobs(t)) != 1 {
		t.Error("the Job is gone, and nobody can look at it")
	}
}

func cannotStart(t *testing.T, s *stand) {
	s.image = strings.Replace(s.image, "@sha256:", ":missing@sha256:00", 1)[:len(s.image)+len(":missing")]
	_, err := Run(t.Context(), s.config("k"), s.job(t, "done", 7), plenty)
	wantRefusal(t, err, "cannot start", "task:missing")
	s.wantNoJob(t)
}

func takesTooLong(t *testing.T, s *stand) {
	config := s.config("k")
	if _, _, err := config.provide(t.Context(), s.job(t, "hang", 7)); err != nil {
		t.Fatal(err)
	}
	// It has a while to begin: the deadline is what ends it.
	_, err := Run(t.Context(), config, s.job(t, "hang", 7), 15*time.Second)
	wantRefusal(t, err, "has not ended within 15s", "is stopped")
	s.wantNoJob(t)
	if !strings.Contains(s.log.String(), "DELETE /apis/batch/v1/namespaces/"+s.namespace+"/jobs/migrate-7-1-") {
		t.Error("the log does not say how the Job was stopped")
	}
}

func deletedInTheMiddle(t *testing.T, s *stand) {
	ended, object := make(chan error, 1), s.job(t, "hang", 7)
	go func() {
		_, err := Run(t.Context(), s.config("k"), object, plenty)
		ended <- err
	}()
	s.log.Await(t, "| task begins, hang")
	job := s.jobs(t)[0]
	if err := s.cluster.Delete(t.Context(), kube.RefOf(&job), job.GetUID()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, <-ended, "was deleted by somebody before it had ended", "| task begins, hang")
}

func found(t *testing.T, s *stand) {
	ctx, kill := context.WithCancel(t.Context())
	config := s.config("k")
	config.Made = func(context.Context, types.UID) error { kill(); return nil }
	_, err := Run(ctx, config, s.job(t, "slow", 7), plenty)
	if !errors.Is(err, context.Canceled) || refusal.Is(err) {
		t.Fatalf("error %v, want that it was canceled", err)
	}
	done, err := Run(t.Context(), s.config("k"), s.job(t, "slow", 7), plenty)
	if err != nil || !done.Found || !strings.Contains(done.Tail, "| at last") {
		t.Errorf("done %+v, %v", done, err)
	}
	again, err := Run(t.Context(), s.config("k"), s.job(t, "slow", 7), plenty)
	if err != nil || again.UID != done.UID {
		t.Errorf("done again %+v, %v", again, err)
	}
	if n := len(s.jobs(t)); n != 1 {
		t.Errorf("%d Jobs, want 1", n)
	}
}

func another(t *testing.T, s *stand) {
	first, err := Run(t.Context(), s.config("one"), s.job(t, "done", 7), plenty)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Run(t.Context(), s.config("two"), s.job(t, "done", 7), plenty)
	if err != nil || second.Found || second.UID == first.UID || second.Name == first.Name {
		t.Errorf("the second is %+v, %v; the first was %+v", second, err, first)
	}
}

func knownAndGone(t *testing.T, s *stand) {
	config := s.config("k")
	config.Known = "3f0c0a52-0000-4000-8000-000000000000"
	_, err := Run(t.Context(), config, s.job(t, "done", 7), plenty)
	wantRefusal(t, err, "somebody has deleted it since", string(config.Known))
	if n := len(s.jobs(t)); n != 0 {
		t.Errorf("%d Jobs, want none", n)
	}
}

func stoppedWithTheDeployment(t *testing.T, s *stand) {
	ctx, fail := context.WithCancelCause(t.Context())
	ended, object := make(chan error, 1), s.job(t, "hang", 7)
	go func() {
		_, err := Run(ctx, s.config("k"), object, plenty)
		ended <- err
	}()
	s.log.Await(t, "| task begins, hang")
	fail(refusal.New("3 of 9 requests lost"))
	err := <-ended
	wantRefusal(t, err, "is stopped: 3 of 9 requests lost")
	s.wantNoJob(t)
}

func chatty(t *testing.T, s *stand) {
	done, err := Run(t.Context(), s.config("k"), s.job(t, "chatty", 7), plenty)
	if err != nil {
		t.Fatal(err)
	}
	log := s.log.String()
	if n := strings.Count(log, "| line "); n < shownLines-10 || n > shownLines+tailLines {
		t.Errorf("%d lines in the log", n)
	}
	if !strings.Contains(log, "it writes more than 2000 lines") || !strings.HasSuffix(done.Tail, "| line 2999") {
		t.Errorf("tail %q", done.Tail)
	}
	for line := range strings.Lines(log) {
		if len(line) > 5<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func noJob(t *testing.T, s *stand) {
	object := s.job(t, "done", 7)
	object.SetKind("CronJob")
	if _, err := Run(t.Context(), s.config("k"), object, plenty); err == nil || !strings.Contains(err.Error(), "it is no Job") {
		t.Errorf("error %v", err)
	}
}

func swept(t *testing.T, s *stand) {
	for key, sequence := range map[string]int64{"old": 6, "new": 7} {
		if _, err := Run(t.Context(), s.config(key), s.job(t, "done", sequence), plenty); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.config("running").provide(t.Context(), s.job(t, "hang", 5)); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(t.Context(), s.config("new"), s.namespace, "web", 7); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the new Job and the one that runs are left", func() bool { return len(s.jobs(t)) == 2 })
	for _, job := range s.jobs(t) {
		if strings.HasPrefix(job.GetName(), "migrate-6-") {
			t.Errorf("%s is left, and one that must stay is gone", job.GetName())
		}
	}
}

func journalFails(t *testing.T, s *stand) {
	config := s.config("k")
	lost := errors.New("the journal cannot be written")
	config.Made = func(context.Context, types.UID) error { return lost }
	if _, err := Run(t.Context(), config, s.job(t, "hang", 7), plenty); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
	if n := len(s.jobs(t)); n != 1 {
		t.Errorf("%d Jobs, want the one that was made", n)
	}
}
