package source

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// s3Server is a real server of S3's protocol, in a process of its own. It
// listens on a socket of the file system, so that no port can be taken.
type s3Server struct {
	socket string
	stop   func()
}

func startS3(t *testing.T) *s3Server {
	t.Helper()
	tool := exec.Command("go", "tool", "-n", "versitygw")
	tool.Dir = filepath.Join("testdata", "s3server")
	program, err := tool.Output()
	if err != nil {
		t.Fatalf("build versitygw of testdata/s3server (Go modules are needed, from the cache or a proxy): %v", err)
	}
	// Short, as sockets' names must be.
	dir, err := os.MkdirTemp("", "s3-") //nolint:usetesting // t.TempDir is long
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"data", "versions", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &s3Server{socket: filepath.Join(dir, "s")}
	server := exec.Command(strings.TrimSpace(string(program)), "--port", s.socket, "--quiet",
		"posix", "--sidecar", filepath.Join(dir, "meta"), "--versioning-dir", filepath.Join(dir, "versions"), filepath.Join(dir, "data"))
	server.Env = []string{"ROOT_ACCESS_KEY=key", "ROOT_SECRET_KEY=s3cr3t", "HOME=" + dir}
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = func() {
		server.Process.Kill()
		server.Wait()
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("versitygw said:\n%s", &said)
		}
		os.RemoveAll(dir)
	})
	waittest.Until(t, "versitygw to listen", func() bool {
		conn, err := net.Dial("unix", s.socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return s
}

// objects are those of the server for who has the secret.
func (s *s3Server) objects(secret string) S3 {
	return NewS3(aws.Config{
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("key", secret, ""),
		RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
		}}},
	}, "http://s3.example.com")
}

// put uploads an object and returns its version.
func put(t *testing.T, o S3, key string, body []byte) ObjectVersion {
	t.Helper()
	bucket := "source"
	out, err := o.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return s3Version(out.ETag, out.VersionId)
}

// zipped is an archive of the files.
func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
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

func objectJob(t *testing.T, cfg ObjectConfiguration) pipeline.Job {
	t.Helper()
	return pipeline.Job{
		Action: pipeline.Action{Name: "code"}, Dir: t.TempDir(), Log: &bytes.Buffer{},
		Configuration: must[[]byte](t)(json.Marshal(cfg)),
	}
}

func TestObjectAction(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := startS3(t)
	o := server.objects("s3cr3t")
	bucket := "source"
	if _, err := o.Client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	store := must[*artifact.Store](t)(artifact.Open(ctx, t.TempDir()))
	t.Cleanup(func() { store.Close() })
	a := ObjectAction{Objects: o, Artifacts: store}
	// takes runs the action and returns the files of its artifact.
	takes := func(t *testing.T, cfg ObjectConfiguration) (pipeline.Result, map[string]string) {
		t.Helper()
		job := objectJob(t, cfg)
		result := must[pipeline.Result](t)(a.Run(ctx, job))
		if result.Outcome != pipeline.Succeeded {
			t.Fatal(result.Message)
		}
		dir := t.TempDir()
		if err := store.Unpack(ctx, result.Artifacts[0].Digest, dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(job.Dir, "download")); err == nil {
			t.Error("the downloaded object is left behind")
		}
		return result, files(t, dir)
	}
	cfg := ObjectConfiguration{Bucket: bucket, Key: "apps/web.zip"}
	first := put(t, o, cfg.Key, zipped(t, map[string]string{"a": "1", "dir/b": "2"}))

	t.Run("the files of an archive become the artifact", func(t *testing.T) {
		result, got := takes(t, cfg)
		if diff := cmp.Diff(map[string]string{"a": "1", "dir/b": "2"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		want := map[string]string{"BucketName": bucket, "ObjectKey": cfg.Key, "ETag": first.ETag, "VersionId": first.Version}
		if diff := cmp.Diff(want, result.Variables); diff != "" || first.Version == "" || strings.Contains(first.ETag, `"`) {
			t.Errorf("variables (-want +got):\n%s", diff)
		}
	})
	t.Run("a new version is noticed, and taken", func(t *testing.T) {
		if now := must[ObjectVersion](t)(a.Newest(ctx, cfg)); now != first {
			t.Errorf("newest is %+v, want %+v", now, first)
		}
		second := put(t, o, cfg.Key, zipped(t, map[string]string{"a": "3"}))
		if now := must[ObjectVersion](t)(a.Newest(ctx, cfg)); now != second || second == first {
			t.Errorf("newest is %+v, want %+v", now, second)
		}
		if _, got := takes(t, cfg); got["a"] != "3" {
			t.Errorf("files %v", got)
		}
	})
	t.Run("a start may ask for an older one", func(t *testing.T) {
		old := cfg
		old.Version = first.Version
		if result, got := takes(t, old); got["a"] != "1" || result.Variables["VersionId"] != first.Version {
			t.Errorf("files %v, variables %v", got, result.Variables)
		}
	})
	t.Run("what is no archive is taken as it is", func(t *testing.T) {
		put(t, o, "charts/web-1.tgz", []byte("\x1f\x8bchart"))
		_, got := takes(t, ObjectConfiguration{Bucket: bucket, Key: "charts/web-1.tgz"})
		if diff := cmp.Diff(map[string]string{"web-1.tgz": "\x1f\x8bchart"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a run that was interrupted is done again", func(t *testing.T) {
		job := objectJob(t, cfg)
		for _, name := range []string{"download", "object/half"} {
			file := filepath.Join(job.Dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if result := must[pipeline.Result](t)(a.Run(ctx, job)); result.Outcome != pipeline.Succeeded {
			t.Error(result.Message)
		}
	})
	evil := "apps/evil.zip"
	put(t, o, evil, zipped(t, map[string]string{"../../evil": "x"}))
	put(t, o, "apps/broken.zip", []byte("PK\x03\x04 and then nothing"))
	for name, tt := range map[string]struct {
		action ObjectAction
		cfg    ObjectConfiguration
		text   string
	}{
		"an object that is not there":        {a, ObjectConfiguration{Bucket: bucket, Key: "apps/shop.zip"}, "there is no such object"},
		"a bucket that is not there":         {a, ObjectConfiguration{Bucket: "nowhere", Key: "x"}, "there is no such object"},
		"a wrong secret":                     {ObjectAction{Objects: server.objects("wrong"), Artifacts: store}, cfg, "may not read it"},
		"an archive that leads out":          {a, ObjectConfiguration{Bucket: bucket, Key: evil}, "leads out of the directory"},
		"an archive that is broken":          {a, ObjectConfiguration{Bucket: bucket, Key: "apps/broken.zip"}, "read the archive's directory"},
		"an object that is larger than fits": {ObjectAction{Objects: o, Artifacts: store, MaxBytes: 10}, cfg, "more than 10 bytes"},
		"a key that is a directory":          {a, ObjectConfiguration{Bucket: bucket, Key: "apps/"}, "name no object"},
		"a key that leads out":               {a, ObjectConfiguration{Bucket: bucket, Key: "apps/.."}, "name no object"},
		"no bucket":                          {a, ObjectConfiguration{Key: "x"}, "name no object"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := tt.action.Run(ctx, objectJob(t, tt.cfg))
			if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, tt.text) {
				t.Errorf("%v, %+v", err, result)
			}
			if strings.Contains(result.Message, "s3cr3t") {
				t.Errorf("the message shows the secret: %s", result.Message)
			}
		})
	}
	t.Run("a server that went away is not the user's fault", func(t *testing.T) {
		server.stop()
		_, err := a.Run(ctx, objectJob(t, cfg))
		wantKind(t, err, ErrUnreachable)
		_, err = a.Newest(ctx, cfg)
		wantKind(t, err, ErrUnreachable)
	})
}
