package awsapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// The keys of all tests, one of each role.
const (
	viewerID   = "AKIAVIEWERVIEWER2345"
	operatorID = "AKIAOPERATOROPER2345"
	adminID    = "AKIAADMINADMINAD2345"
	secretKey  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// heldKeys are keys in memory that count their use.
type heldKeys struct {
	mu   sync.Mutex
	used map[string]int
}

func (k *heldKeys) Key(_ context.Context, id string) (access.Key, error) {
	roles := map[string]client.Role{viewerID: client.Viewer, operatorID: client.Operator, adminID: client.Admin}
	if roles[id] == "" {
		return access.Key{}, fmt.Errorf("access key %s: %w", id, store.ErrNotFound)
	}
	return access.Key{ID: id, Secret: secretKey, Role: roles[id]}, nil
}

func (k *heldKeys) Used(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[id]++
	return nil
}

// heldDefinitions are declarations in memory.
type heldDefinitions struct {
	mu  sync.Mutex
	all map[string]Definition
}

var _ Definitions = (*heldDefinitions)(nil)

func (d *heldDefinitions) List(_ context.Context, after string, limit int) ([]Summary, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []Summary
	for _, p := range d.all {
		if p.Name > after {
			found = append(found, p.Summary)
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return cmp.Compare(a.Name, b.Name) })
	return found[:min(limit, len(found))], nil
}

func (d *heldDefinitions) Get(_ context.Context, name string, version int) (Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.all[name]
	if !ok {
		return Definition{}, fmt.Errorf("pipeline %s: %w", name, store.ErrNotFound)
	}
	if version > found.Version {
		return Definition{}, wire.Faultf("PipelineVersionNotFoundException", "no version %d", version)
	}
	return found, nil
}

func (d *heldDefinitions) Create(_ context.Context, declaration json.RawMessage) (Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := nameIn(declaration)
	if _, taken := d.all[name]; taken {
		return Definition{}, wire.Faultf("PipelineNameInUseException", "A pipeline with the name '%s' already exists in account '%s'", name, account)
	}
	d.all[name] = Definition{Summary: Summary{Name: name, Version: 1, Type: "V2", ExecutionMode: "QUEUED", Created: monday, Updated: monday}, Declaration: declaration}
	return d.all[name], nil
}

func (d *heldDefinitions) Update(_ context.Context, declaration json.RawMessage) (Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := nameIn(declaration)
	found, ok := d.all[name]
	if !ok {
		return Definition{}, fmt.Errorf("pipeline %s: %w", name, store.ErrNotFound)
	}
	found.Version, found.Declaration = found.Version+1, declaration
	d.all[name] = found
	return found, nil
}

func (d *heldDefinitions) Delete(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, name)
	return nil
}

// monday is when everything in these tests was made.
var monday = time.Date(2026, 3, 2, 8, 0, 0, 123e6, time.UTC)

const account = "123456789012"

// targetPrefix is the service and its version, as X-Amz-Target names them.
const targetPrefix = "CodePipeline_20150709."

// bench is a Handler that is served, and what is behind it.
type bench struct {
	url         string
	handler     *Handler
	keys        *heldKeys
	definitions *heldDefinitions
}

// setup serves a Handler on the loopback. change may alter its Config.
func setup(t testing.TB, change ...func(*Config)) bench {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := bench{keys: &heldKeys{used: map[string]int{}}, definitions: &heldDefinitions{all: map[string]Definition{}}}
	config := Config{
		Keys: b.keys, Definitions: b.definitions, Tags: db, CustomTypes: db, Types: ownTypes, Handover: &heldArtifacts{},
		Account: account, PageKey: []byte(strings.Repeat("k", 32)), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	if b.handler, err = New(config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b.handler)
	b.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func ownTypes() []pipeline.ActionType {
	return []pipeline.ActionType{
		{Category: pipeline.CategoryBuild, Owner: "AWS", Provider: "Buildspec", Version: "1"},
		{Category: pipeline.CategoryRule, Owner: "AWS", Provider: "VariableCheck", Version: "1"},
	}
}

// sdk is a client of AWS's Go SDK with the key.
func (b bench) sdk(keyID, secret string) *codepipeline.Client {
	return codepipeline.New(codepipeline.Options{
		Region: "eu-west-1", BaseEndpoint: &b.url, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
		HTTPClient: http.DefaultClient, RetryMaxAttempts: 1,
	})
}

// declaration is a pipeline of two stages, as AWS wants it.
func declaration(name string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{
		"name": %q, "roleArn": "arn:aws:iam::123456789012:role/web", "pipelineType": "V2",
		"artifactStore": {"type": "S3", "location": "artifacts"},
		"stages": [
			{"name": "Source", "actions": [{"name": "push", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}, "outputArtifacts": [{"name": "source"}]}]},
			{"name": "Build", "actions": [{"name": "unit", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"}, "inputArtifacts": [{"name": "source"}]}]}
		]}`, name))
}

// hold keeps pipelines of those names.
func (b bench) hold(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := b.definitions.Create(t.Context(), declaration(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// heldArtifacts are places of artifacts, and those that were put.
type heldArtifacts struct {
	mu    sync.Mutex
	put   []pipeline.Artifact
	bad   error
	ended []string // jobs
}

var _ access.Handover = (*heldArtifacts)(nil)

func (a *heldArtifacts) Give(_ context.Context, w access.Work, lasting time.Duration) (access.Given, error) {
	given := access.Given{Credentials: access.Credentials{
		AccessKeyID: "ASIA" + strings.ToUpper(strings.ReplaceAll(w.Job, "-", ""))[:16], SecretAccessKey: secretKey, SessionToken: "token", Expires: monday.Add(lasting),
	}}
	for _, in := range w.Inputs {
		given.Inputs = append(given.Inputs, access.Object{Bucket: "artifacts", Key: w.Pipeline + "/" + in.Name})
	}
	for _, name := range w.Outputs {
		given.Outputs = append(given.Outputs, access.Object{Bucket: "artifacts", Key: w.Pipeline + "/" + name + "/" + w.Job})
	}
	return given, nil
}

func (a *heldArtifacts) Take(context.Context, access.Work) ([]pipeline.Artifact, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.put, a.bad
}

func (a *heldArtifacts) End(_ context.Context, w access.Work) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, w.Job)
	return nil
}
