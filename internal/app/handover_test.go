package app

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// workshop is a server of CodePipeline's and S3's APIs over a real engine, whose
// pipeline "web" has a source, a custom action that makes app of source, and an
// action that takes app.
type workshop struct {
	*App
	url   string
	taken chan []pipeline.Artifact // what the last action got
}

// zipOf is an archive of the files.
func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func setupWorkshop(t *testing.T) *workshop {
	t.Helper()
	dir := t.TempDir()
	w := &workshop{App: &App{}, taken: make(chan []pipeline.Artifact, 1)}
	w.options.Server.Data, w.options.Logger = dir, slog.New(slog.DiscardHandler)
	config := enginetest.Config(t, dir, w.act)
	keys, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	w.store = config.Store
	w.accessKeys = &accessKeys{store: w.store, keys: keys, now: time.Now, open: map[string]openKey{}}
	if w.artifacts, err = artifact.Open(t.Context(), filepath.Join(dir, "artifacts")); err != nil {
		t.Fatal(err)
	}
	if err := w.openS3(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.engine, err = engine.New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := w.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	api, err := awsapi.New(awsapi.Config{
		Keys: w.signers(), Definitions: awsDefinitions{store: w.store, now: time.Now}, Tags: w.store, Records: w.store, Decisions: w.engine, Jobs: w.store,
		Workers: w.engine, Handover: w.handover(), CustomTypes: w.store, Types: func() []pipeline.ActionType { return nil },
		Account: awsAccount, PageKey: make([]byte, 32), Now: time.Now, Logger: w.options.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.s3.Mine(r) {
			w.s3.ServeHTTP(rw, r)
			return
		}
		api.ServeHTTP(rw, r)
	}))
	w.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := w.engine.Stop(time.Minute); err != nil {
			t.Error(err)
		}
	})
	return w
}

// act carries out what no worker does.
func (w *workshop) act(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	result := pipeline.Result{Outcome: pipeline.Succeeded}
	if job.Action.Name == "deploy" {
		w.taken <- job.Inputs
		return result, nil
	}
	if err := os.WriteFile(filepath.Join(job.Dir, "main.go"), []byte("package main"), 0o600); err != nil {
		return result, err
	}
	digest, size, err := w.artifacts.Pack(ctx, job.Dir, nil)
	result.Artifacts = []pipeline.Artifact{{Name: "source", Digest: digest, Size: size}}
	return result, err
}

// define keeps the pipeline "web".
func (w *workshop) define(t *testing.T) {
	t.Helper()
	action := func(name string, in, out []string, of pipeline.ActionType) pipeline.Action {
		return pipeline.Action{Name: name, RunOrder: 1, Type: of, Inputs: in, Outputs: out, Configuration: json.RawMessage(`{}`)}
	}
	p := pipeline.Pipeline{Name: "web", Mode: pipeline.ModeQueued, Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{action("push", nil, []string{"source"}, pipeline.ActionType{Category: pipeline.CategorySource, Owner: "Towline", Provider: "Git", Version: "1"})}},
		{Name: "Work", Actions: []pipeline.Action{action("work", []string{"source"}, []string{"app"}, pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "Custom", Provider: "Smith", Version: "1"})}},
		{Name: "Deploy", Actions: []pipeline.Action{action("deploy", []string{"app"}, nil, pipeline.ActionType{Category: pipeline.CategoryDeploy, Owner: "Towline", Provider: "Kubernetes", Version: "1"})}},
	}}
	err := w.store.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, p, "", time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
}

func (w *workshop) pipelines(id, secret, token string) *codepipeline.Client {
	return codepipeline.New(codepipeline.Options{Region: "eu-west-1", BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token), RetryMaxAttempts: 1})
}

func (w *workshop) files(id, secret, token string) *awss3.Client {
	return awss3.New(awss3.Options{Region: "eu-west-1", BaseEndpoint: &w.url, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token), RetryMaxAttempts: 1})
}

// smith is the type of the custom action.
func smith() *types.ActionTypeId {
	return &types.ActionTypeId{Category: types.ActionCategoryBuild, Owner: types.ActionOwnerCustom, Provider: new("Smith"), Version: new("1")}
}

// worker is one with an operator's key, and its job.
type worker struct {
	*workshop
	*codepipeline.Client // with the operator's key
	job                  types.Job
	mine                 *awss3.Client        // with the job's credentials
	reports              *codepipeline.Client // with these too
}

// work starts an execution and takes the job that it leads to.
func (w *workshop) work(t *testing.T) *worker {
	t.Helper()
	key, err := w.accessKeys.Create(t.Context(), client.Admin, "smith")
	if err != nil {
		t.Fatal(err)
	}
	a := &worker{workshop: w, Client: w.pipelines(key.ID, key.Secret, "")}
	_, err = a.CreateCustomActionType(t.Context(), &codepipeline.CreateCustomActionTypeInput{
		Category: types.ActionCategoryBuild, Provider: new("Smith"), Version: new("1"), InputArtifactDetails: &types.ArtifactDetails{MaximumCount: 1}, OutputArtifactDetails: &types.ArtifactDetails{MaximumCount: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.StartExecution(t.Context(), engine.StartRequest{Pipeline: "web"}); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "a job", func() bool {
		out, err := a.PollForJobs(t.Context(), &codepipeline.PollForJobsInput{ActionTypeId: smith()})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Jobs) > 0 {
			a.job = out.Jobs[0]
		}
		return len(out.Jobs) > 0
	})
	if _, err := a.AcknowledgeJob(t.Context(), &codepipeline.AcknowledgeJobInput{JobId: a.job.Id, Nonce: a.job.Nonce}); err != nil {
		t.Fatal(err)
	}
	c := a.job.Data.ArtifactCredentials
	a.mine = w.files(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	a.reports = w.pipelines(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	return a
}

// read fetches an artifact.
func (a *worker) read(t *testing.T, c *awss3.Client, from types.Artifact) ([]byte, error) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: from.Location.S3Location.BucketName, Key: from.Location.S3Location.ObjectKey})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func (a *worker) write(t *testing.T, to types.Artifact, text []byte) error {
	t.Helper()
	_, err := a.mine.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: to.Location.S3Location.BucketName, Key: to.Location.S3Location.ObjectKey, Body: bytes.NewReader(text)})
	return err
}

func TestAWorkerReadsAndWritesArtifacts(t *testing.T) {
	t.Parallel()
	w := setupWorkshop(t)
	w.define(t)
	a := w.work(t)
	in, out := a.job.Data.InputArtifacts[0], a.job.Data.OutputArtifacts[0]
	text, err := a.read(t, a.mine, in)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil || len(archive.File) != 1 || archive.File[0].Name != "main.go" {
		t.Fatal(err)
	}
	t.Run("no more than its own", func(t *testing.T) {
		if err := a.write(t, in, text); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("its input was written: %v", err)
		}
		if _, err := a.reports.ListPipelines(t.Context(), &codepipeline.ListPipelinesInput{}); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("it lists pipelines: %v", err)
		}
		if _, err := a.reports.PutJobFailureResult(t.Context(), &codepipeline.PutJobFailureResultInput{
			JobId: new("01234567-89ab-cdef-0123-456789abcdef"), FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: new("x")},
		}); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("it reports about another job: %v", err)
		}
	})
	done := &codepipeline.PutJobSuccessResultInput{JobId: a.job.Id}
	t.Run("what nobody should unpack is refused, and can be put again", func(t *testing.T) {
		for _, hostile := range [][]byte{[]byte("no archive"), zipOf(t, map[string]string{"../../etc/passwd": "x"}), zipOf(t, map[string]string{"/etc/passwd": "x"})} {
			if err := a.write(t, out, hostile); err != nil {
				t.Fatal(err)
			}
			if _, err := a.reports.PutJobSuccessResult(t.Context(), done); err == nil || !strings.Contains(err.Error(), "the output artifact app is no zip archive that can be unpacked") {
				t.Errorf("error %v", err)
			}
		}
	})
	t.Run("what it has put is what the next action gets", func(t *testing.T) {
		if err := a.write(t, out, zipOf(t, map[string]string{"web": "a program"})); err != nil {
			t.Fatal(err)
		}
		if _, err := a.reports.PutJobSuccessResult(t.Context(), done); err != nil {
			t.Fatal(err)
		}
		got := <-w.taken
		if len(got) != 1 || got[0].Name != "app" {
			t.Fatalf("got %+v", got)
		}
		dir := t.TempDir()
		if err := w.artifacts.Unpack(t.Context(), got[0].Digest, dir); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "web")); err != nil || string(text) != "a program" {
			t.Errorf("%q %v", text, err)
		}
	})
	t.Run("its credentials are good for nothing then", func(t *testing.T) {
		if _, err := a.read(t, a.mine, in); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the artifacts can be read by who may read", func(t *testing.T) {
		key, err := w.accessKeys.Create(t.Context(), client.Viewer, "")
		if err != nil {
			t.Fatal(err)
		}
		c := w.files(key.ID, key.Secret, "")
		if _, err := a.read(t, c, out); err != nil {
			t.Error(err)
		}
		list, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: new(store.ArtifactBucket), Prefix: new("web/app/")})
		if err != nil || len(list.Contents) != 2 { // where it was put, and by its content
			t.Errorf("%v, list %+v", err, list)
		}
	})
}

func TestAWorkerThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	w := setupWorkshop(t)
	w.define(t)
	a := w.work(t)
	out := a.job.Data.OutputArtifacts[0]
	if err := a.write(t, out, []byte("half")); err != nil {
		t.Fatal(err)
	}
	details, err := a.GetJobDetails(t.Context(), &codepipeline.GetJobDetailsInput{JobId: a.job.Id})
	if err != nil {
		t.Fatal(err)
	}
	again := details.JobDetails.Data.ArtifactCredentials
	if *again.AccessKeyId == *a.job.Data.ArtifactCredentials.AccessKeyId {
		t.Error("who asks again gets the same credentials")
	}
	failure := &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: new("no")}
	if _, err := a.reports.PutJobFailureResult(t.Context(), &codepipeline.PutJobFailureResultInput{JobId: a.job.Id, FailureDetails: failure}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Object(t.Context(), *out.Location.S3Location.BucketName, *out.Location.S3Location.ObjectKey); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what it has put is there: %v", err)
	}
	if _, err := a.read(t, w.files(*again.AccessKeyId, *again.SecretAccessKey, *again.SessionToken), out); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Errorf("error %v", err)
	}
}

func TestSessionsAreSealed(t *testing.T) {
	t.Parallel()
	w := setupWorkshop(t)
	w.define(t)
	a := w.work(t)
	c := a.job.Data.ArtifactCredentials
	file, err := os.ReadFile(filepath.Join(w.options.Server.Data, "towline.db"))
	log, logErr := os.ReadFile(filepath.Join(w.options.Server.Data, "towline.db-wal"))
	if err := errors.Join(err, logErr); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{*c.SecretAccessKey, *c.SessionToken} {
		if bytes.Contains(append(file, log...), []byte(text)) {
			t.Error("a secret is in the database")
		}
	}
	if err := w.sessions().rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.read(t, a.mine, a.job.Data.InputArtifacts[0]); err != nil {
		t.Error(err)
	}
}

// TestAPipelineBeginsWithAnObjectOfThisServer has the source that asks here
// before it asks AWS.
func TestAPipelineBeginsWithAnObjectOfThisServer(t *testing.T) {
	t.Parallel()
	w := setupWorkshop(t)
	key, err := w.accessKeys.Create(t.Context(), client.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	c, objects := w.files(key.ID, key.Secret, ""), w.objects.Objects
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("sources")}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Newest(t.Context(), "sources", "web.zip"); !errors.Is(err, source.ErrNoObject) {
		t.Errorf("error %v", err)
	}
	put := func(text string) source.ObjectVersion {
		if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: new("sources"), Key: new("web.zip"), Body: bytes.NewReader(zipOf(t, map[string]string{"file": text}))}); err != nil {
			t.Fatal(err)
		}
		version, err := objects.Newest(t.Context(), "sources", "web.zip")
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	first, second := put("one"), put("two")
	if first == second || first.ETag == "" {
		t.Errorf("versions %v and %v", first, second)
	}
	action := source.ObjectAction{Objects: objects, Artifacts: w.artifacts}
	result, err := action.Run(t.Context(), pipeline.Job{
		Dir: t.TempDir(), Configuration: json.RawMessage(`{"S3Bucket": "sources", "S3ObjectKey": "web.zip"}`), Action: pipeline.Action{Name: "web", Outputs: []string{"source"}},
	})
	if err != nil || result.Outcome != pipeline.Succeeded || result.Variables["ETag"] != second.ETag {
		t.Errorf("%v, result %+v", err, result)
	}
}
