package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

const (
	viewerID  = "AKIAVIEWERVIEWER2345"
	adminID   = "AKIAADMINADMINAD2345"
	sessionID = "ASIASESSIONSESSI2345"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

type heldKeys struct{}

func (heldKeys) Key(_ context.Context, id string) (access.Key, error) {
	roles := map[string]client.Role{viewerID: client.Viewer, adminID: client.Admin}
	if roles[id] == "" {
		return access.Key{}, fmt.Errorf("access key %s: %w", id, store.ErrNotFound)
	}
	return access.Key{ID: id, Secret: secretKey, Role: roles[id]}, nil
}

func (heldKeys) Used(context.Context, string) error { return nil }

// kept are functions in memory, which answer with their event.
type kept map[string]client.Function

func (k kept) List(context.Context) (all []client.Function, err error) {
	for _, f := range k {
		all = append(all, f)
	}
	return all, nil
}

func (k kept) Get(_ context.Context, name string) (client.Function, error) {
	f, ok := k[name]
	if !ok {
		return f, fmt.Errorf("function %s: %w", name, store.ErrNotFound)
	}
	return f, nil
}

func (k kept) Put(_ context.Context, name string, req client.FunctionRequest, code io.ReaderAt, size int64) (client.Function, error) {
	f := k[name]
	if req.Runtime == "ruby3.3" {
		return f, pipeline.Problems{{Path: "runtime", Message: "there is no runtime", Hint: "choose another"}}
	}
	f.Name, f.Digest = name, "sha256:00ff"
	if code != nil {
		if _, err := zip.NewReader(code, size); err != nil {
			return f, err
		}
		f.Size = size
	}
	if req.Runtime != "" {
		f.Runtime, f.Handler = req.Runtime, req.Handler
	}
	if req.Timeout != 0 {
		f.Timeout, f.Memory = req.Timeout, req.Memory
	}
	f.Revision++
	k[name] = f
	return f, nil
}

func (k kept) Delete(_ context.Context, name string) error {
	if _, ok := k[name]; !ok {
		return store.ErrNotFound
	}
	delete(k, name)
	return nil
}

func (k kept) Invoke(_ context.Context, _ string, event json.RawMessage) (client.Invoked, error) {
	done := client.Invoked{RequestID: "r", Payload: event, Log: []string{"a line"}}
	if strings.Contains(string(event), "fail") {
		done.Error, done.Payload = "ValueError", json.RawMessage(`{"errorType":"ValueError"}`)
	}
	return done, nil
}

// aws is AWS's own command, with nothing of the machine's settings.
func aws(t *testing.T, url, keyID string) func(args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	home := t.TempDir()
	return func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", url, "--region", "eu-west-1", "lambda"}, args...)...)
		cmd.Dir = home
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secretKey,
			"AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_OUTPUT=json",
		}
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
}

func TestTheAWSCommandKeepsAndInvokesFunctions(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(New(Config{Keys: heldKeys{}, Functions: kept{}, Account: "000000000000", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	archive := filepath.Join(dir, "function.zip")
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	if _, err := w.Create("app.py"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	admin, viewer := aws(t, server.URL, adminID), aws(t, server.URL, viewerID)
	out := filepath.Join(dir, "out")
	create := []string{"create-function", "--function-name", "f", "--runtime", "python3.12", "--handler", "app.handler", "--role", "arn:aws:iam::000000000000:role/none", "--zip-file", "fileb://" + archive}
	for _, step := range []struct {
		name string
		run  func(args ...string) (string, error)
		args []string
		want string // in the output
		ok   bool
	}{
		{"create", admin, create, `"Timeout": 3`, true},
		{"create twice", admin, create, "ResourceConflictException", false},
		{"get", viewer, []string{"get-function", "--function-name", "f"}, "arn:aws:lambda:eu-west-1:000000000000:function:f", true},
		{"list", viewer, []string{"list-functions", "--query", "Functions[].FunctionName"}, `"f"`, true},
		{"change", admin, []string{"update-function-configuration", "--function-name", "f", "--timeout", "60", "--memory-size", "512"}, `"Timeout": 60`, true},
		{"change the code", admin, []string{"update-function-code", "--function-name", "f", "--zip-file", "fileb://" + archive}, `"CodeSize"`, true},
		{"wait for it", viewer, []string{"wait", "function-updated", "--function-name", "f"}, "", true},
		{"invoke", admin, []string{"invoke", "--function-name", "f", "--payload", `{"name":"Ada"}`, "--log-type", "Tail", out}, `"LogResult": "YSBsaW5lCg=="`, true},
		{"invoke what fails", admin, []string{"invoke", "--function-name", "f", "--payload", `"fail"`, out}, `"FunctionError": "Unhandled"`, true},
		{"invoke for later", admin, []string{"invoke", "--function-name", "f", "--invocation-type", "Event", out}, "InvalidParameterValueException", false},
		{"what is wrong", admin, []string{"update-function-configuration", "--function-name", "f", "--runtime", "ruby3.3"}, "InvalidParameterValueException", false},
		{"delete without the right", viewer, []string{"delete-function", "--function-name", "f"}, "AccessDeniedException", false},
		{"delete", admin, []string{"delete-function", "--function-name", "f"}, "", true},
		{"get what is gone", viewer, []string{"get-function", "--function-name", "f"}, "ResourceNotFoundException", false},
		{"an unknown key", aws(t, server.URL, sessionID), []string{"list-functions"}, "InvalidSignatureException", false},
	} {
		got, err := step.run(step.args...)
		if (err == nil) != step.ok || !strings.Contains(got, step.want) {
			t.Errorf("%s: %v\n%s", step.name, err, got)
		}
		if step.name == "invoke" {
			if text, err := os.ReadFile(out); err != nil || string(text) != `{"name":"Ada"}` {
				t.Errorf("answer %s, %v", text, err)
			}
		}
	}
}
