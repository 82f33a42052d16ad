package app

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/towline/towline/internal/awsapi/codebuild"
	"github.com/towline/towline/internal/awsapi/logs"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

func TestWhereAProjectsSourceLies(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	git("commit", "-q", "-m", "First")
	git("push", "-q", "origin", "main")
	commit := git("rev-parse", "HEAD")
	if err := a.repositories.Create(t.Context(), "acme-shop"); err != nil {
		t.Fatal(err)
	}
	sources := a.builder.Sources
	for name, c := range map[string]struct {
		source  project.Source
		version string
		want    string // of the error, "" for none
	}{
		"a name":                      {project.Source{Type: "GITHUB", Location: "web"}, "", ""},
		"a branch of it":              {project.Source{Type: "GITHUB", Location: "web"}, "main", ""},
		"its URL here":                {project.Source{Type: "GITHUB", Location: a.PublicURL() + source.Prefix + "web.git"}, commit, ""},
		"a URL of CodeCommit":         {project.Source{Type: "CODECOMMIT", Location: "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/web"}, "", ""},
		"a version that is not there": {project.Source{Type: "GITHUB", Location: "web"}, "gone", `repository web has no revision "gone"`},
		"a name that is not there":    {project.Source{Type: "GITHUB", Location: "nope"}, "", `there is no repository "nope"`},
		"a way out":                   {project.Source{Type: "GITHUB", Location: ".."}, "", "name"},
		"one of a forge, kept here":   {project.Source{Type: "GITHUB", Location: "https://github.com/Acme/Shop.git"}, "", "repository acme-shop has no revision"},
		"a program":                   {project.Source{Type: "GITHUB", Location: "ext::sh -c touch% /tmp/x"}, "", "this address cannot be mirrored"},
		"nothing":                     {project.Source{Type: project.SourceNone}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sources.Fetch(t.Context(), builder.Fetch{Source: c.source, Version: c.version, Dir: filepath.Join(t.TempDir(), "fetch"), Log: io.Discard})
			if c.want != "" {
				if _, refused := errors.AsType[*project.Error](err); !refused || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want a refusal with %q", err, c.want)
				}
				return
			}
			if err != nil || got.Artifact.Digest == "" || c.source.Git() && (got.Resolved != commit || got.Revision.Repository != "web") {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

func TestWhereAProjectsArtifactsGo(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	if err := a.store.AddBucket(t.Context(), store.Bucket{Name: "releases", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app"), []byte("app"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest, size, err := a.artifacts.Pack(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	made := pipeline.Artifact{Name: "app", Digest: digest, Size: size}
	// What lay there before is gone with its bytes.
	old, oldSize, err := a.s3.Bytes.Receive(t.Context(), strings.NewReader("an older archive"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.PutObject(t.Context(), store.Object{Bucket: "releases", Key: "web/app.zip", Size: oldSize, Modified: time.Now(), Chunks: []store.Chunk{{Digest: old, Size: oldSize}}}); err != nil {
		t.Fatal(err)
	}
	sum, err := a.builder.Buckets.Deliver(t.Context(), builder.Delivery{Artifact: made, Bucket: "releases", Key: "web/app.zip"})
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := a.artifacts.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(in)
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", md5.Sum(archive)); sum != want {
		t.Errorf("the MD5 of the archive is %q, want %s", sum, want)
	}
	if o, err := a.store.Object(t.Context(), "releases", "web/app.zip"); err != nil || o.Artifact != digest || o.Size != size {
		t.Errorf("%+v %v", o, err)
	}
	if in, err := a.s3.Bytes.OpenAt(t.Context(), old, 0, oldSize); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the bytes of what lay there before are kept: %v", err)
		if err == nil {
			in.Close()
		}
	}
	if _, err := a.builder.Buckets.Deliver(t.Context(), builder.Delivery{Artifact: made, Bucket: "releases", Key: "web", Unpacked: true}); !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "packaging to ZIP") {
		t.Errorf("files in a bucket of this server: %v", err)
	}
}

func TestTheLogGroupsOfProjects(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	l := buildLogs{a.builder}
	_, err := a.builder.Create(t.Context(), project.Definition{
		Name: "web", Source: project.Source{Type: "GITHUB", Location: "web"}, Artifacts: project.Artifacts{Type: project.ArtifactsNone},
		Environment: project.Environment{Type: "LINUX_CONTAINER", Image: "x", ComputeType: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := l.Groups(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Name != codebuild.LogGroup("web") {
		t.Errorf("groups %+v %v", groups, err)
	}
	if streams, err := l.Streams(t.Context(), groups[0].Name, time.Time{}); err != nil || len(streams) != 0 {
		t.Errorf("streams %+v %v", streams, err)
	}
	for _, group := range []string{codebuild.LogGroup("nope"), "/aws/lambda/web", codebuild.LogGroup("../web")} {
		if _, err := l.Streams(t.Context(), group, time.Time{}); !errors.Is(err, logs.ErrNotFound) {
			t.Errorf("%s: %v", group, err)
		}
		if _, err := l.Stream(t.Context(), group, "x"); !errors.Is(err, logs.ErrNotFound) {
			t.Errorf("a stream of %s: %v", group, err)
		}
	}
}

// TestArtifactsGoToBucketsElsewhere has another server stand where AWS's S3
// would.
func TestArtifactsGoToBucketsElsewhere(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	there := setupWorkshop(t)
	key, err := there.accessKeys.Create(t.Context(), client.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := there.store.AddBucket(t.Context(), store.Bucket{Name: "releases", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"app": "app", "docs/index.html": "docs"} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	digest, size, err := a.artifacts.Pack(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")}
	buckets := projectBuckets{store: a.store, artifacts: a.artifacts, here: a.s3, objects: source.NewS3(config, there.url)}
	d := builder.Delivery{Artifact: pipeline.Artifact{Name: "app", Digest: digest, Size: size}, Bucket: "releases", Key: "web/app.zip"}
	sum, err := buckets.Deliver(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	// The ETag of an object that came in one piece is its MD5.
	if o, err := there.store.Object(t.Context(), "releases", "web/app.zip"); err != nil || o.Size != size || o.ETag != sum {
		t.Errorf("the archive of %d bytes, MD5 %s, is there as %+v, %v", size, sum, o, err)
	}
	d.Key, d.Unpacked = "web", true
	if sum, err := buckets.Deliver(t.Context(), d); err != nil || sum != "" {
		t.Errorf("its files: %q, %v", sum, err)
	}
	for key, size := range map[string]int64{"web/app": 3, "web/docs/index.html": 4} {
		if o, err := there.store.Object(t.Context(), "releases", key); err != nil || o.Size != size {
			t.Errorf("%s is there as %+v, %v", key, o, err)
		}
	}
	d.Bucket = "nobodys"
	if _, err := buckets.Deliver(t.Context(), d); !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "bucket nobodys: ") {
		t.Errorf("into a bucket that there is not: %v", err)
	}
}
