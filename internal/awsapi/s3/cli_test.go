package s3

import (
	"bytes"
	"encoding/pem"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// awsCommand is AWS's own command, with nothing of the machine's settings.
type awsCommand struct {
	path, url, home string
	env             []string
}

func (b bench) command(t *testing.T, keyID string, env ...string) awsCommand {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	home := t.TempDir()
	return awsCommand{path, b.url, home, append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_OUTPUT=json",
	}, env...)}
}

// run calls the command and returns what it printed.
func (c awsCommand) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if !slices.Contains(args, "--region") {
		args = append(args, "--region", "eu-west-1")
	}
	cmd := exec.CommandContext(t.Context(), c.path, append([]string{"--endpoint-url", c.url}, args...)...)
	cmd.Env, cmd.Dir = c.env, c.home
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c awsCommand) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// write makes a file of random bytes and returns them.
func write(t *testing.T, path string, size int) []byte {
	t.Helper()
	text := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(text)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTheAWSCommand copies, lists, syncs and deletes, small files and such as
// it sends in parts.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	aws := b.command(t, adminID)
	small := write(t, filepath.Join(aws.home, "tree", "app.zip"), 1000)
	large := write(t, filepath.Join(aws.home, "tree", "dir", "large file"), 20<<20)
	aws.must(t, "s3", "mb", "s3://made")
	if out := aws.must(t, "s3", "ls"); !strings.Contains(out, "made") || !strings.Contains(out, "towline-artifacts") {
		t.Errorf("buckets:\n%s", out)
	}
	if out, err := aws.run(t, "s3", "mb", "s3://made"); err == nil || !strings.Contains(out, "BucketAlreadyOwnedByYou") {
		t.Errorf("made again: %s", out)
	}
	aws.must(t, "s3", "sync", "tree", "s3://made/copy")
	if out := aws.must(t, "s3", "sync", "tree", "s3://made/copy"); out != "" {
		t.Errorf("the second sync has sent:\n%s", out)
	}
	if out := aws.must(t, "s3", "ls", "--recursive", "s3://made"); !strings.Contains(out, " 1000 copy/app.zip") || !strings.Contains(out, " 20971520 copy/dir/large file") {
		t.Errorf("list:\n%s", out)
	}
	if out := aws.must(t, "s3", "ls", "s3://made/copy/"); !strings.Contains(out, "PRE dir/") || !strings.Contains(out, "app.zip") {
		t.Errorf("list:\n%s", out)
	}
	// In parts, and from one key to another.
	aws.must(t, "s3", "cp", "--recursive", "s3://made/copy", "s3://made/again")
	aws.must(t, "s3", "cp", "--recursive", "s3://made/again", "back")
	for name, want := range map[string][]byte{"back/app.zip": small, "back/dir/large file": large} {
		if got, err := os.ReadFile(filepath.Join(aws.home, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes: %v", name, len(got), err)
		}
	}
	if out, err := aws.run(t, "s3", "rb", "s3://made"); err == nil || !strings.Contains(out, "BucketNotEmpty") {
		t.Errorf("removed: %s", out)
	}
	aws.must(t, "s3", "rb", "--force", "s3://made")
	if n := b.stored(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestTheAWSCommandsSingleCalls are those that are made one by one.
func TestTheAWSCommandsSingleCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	aws := b.command(t, operatorID)
	text := write(t, filepath.Join(aws.home, "part"), 6<<20)
	id := aws.must(t, "s3api", "create-multipart-upload", "--bucket", "sources", "--key", "x", "--checksum-algorithm", "SHA256", "--query", "UploadId", "--output", "text")
	for _, number := range []string{"1", "2"} {
		aws.must(t, "s3api", "upload-part", "--bucket", "sources", "--key", "x", "--upload-id", id, "--part-number", number, "--body", "part", "--checksum-algorithm", "SHA256")
	}
	parts := aws.must(t, "s3api", "list-parts", "--bucket", "sources", "--key", "x", "--upload-id", id, "--query", "{Parts: Parts[].{PartNumber: PartNumber, ETag: ETag}}")
	if err := os.WriteFile(filepath.Join(aws.home, "parts.json"), []byte(parts), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := aws.must(t, "s3api", "complete-multipart-upload", "--bucket", "sources", "--key", "x", "--upload-id", id, "--multipart-upload", "file://parts.json"); !strings.Contains(out, `-2\""`) || !strings.Contains(out, "ChecksumSHA256") {
		t.Errorf("completed: %s", out)
	}
	aws.must(t, "s3api", "get-object", "--bucket", "sources", "--key", "x", "--range", "bytes=6291450-6291461", "range")
	if got, err := os.ReadFile(filepath.Join(aws.home, "range")); err != nil || !bytes.Equal(got, append(slices.Clone(text[6291450:]), text[:6]...)) {
		t.Errorf("range of %d bytes: %v", len(got), err)
	}
	if out, err := aws.run(t, "s3api", "get-object", "--bucket", "sources", "--key", "none", "none"); err == nil || !strings.Contains(out, "(NoSuchKey) when calling the GetObject operation: The specified key does not exist.") {
		t.Errorf("error %s", out)
	}
	if out, err := b.command(t, viewerID).run(t, "s3api", "put-object", "--bucket", "sources", "--key", "y"); err == nil || !strings.Contains(out, "(AccessDenied) when calling the PutObject operation") {
		t.Errorf("error %s", out)
	}
}

// TestPresignAndCurl hands a URL to who has no key.
func TestPresignAndCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: install Debian's package curl (scripts/deps test)")
	}
	b := setup(t)
	put(t, b.sdk(operatorID, ""), "dir/a file", "what curl reads")
	aws := b.command(t, viewerID)
	read := func(url string) string {
		out, err := exec.CommandContext(t.Context(), curl, "-sS", url).CombinedOutput()
		if err != nil {
			t.Fatal(err, string(out))
		}
		return string(out)
	}
	// The command's old versions sign with SHA-1 for regions that are as old.
	if got := read(aws.must(t, "s3", "presign", "s3://sources/dir/a file", "--region", "eu-central-1")); got != "what curl reads" {
		t.Errorf("curl got %s", got)
	}
	if got := read(aws.must(t, "s3", "presign", "s3://sources/none", "--region", "eu-central-1")); !strings.Contains(got, "<Code>NoSuchKey</Code>") {
		t.Errorf("curl got %s", got)
	}
}

// TestTheAWSCommandOverTLS sends bodies in chunks with a checksum behind them,
// which the command does over TLS alone.
func TestTheAWSCommandOverTLS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewTLSServer(b.handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	aws := b.command(t, operatorID, "AWS_CA_BUNDLE="+authority)
	text := write(t, filepath.Join(aws.home, "file"), 9<<20)
	aws.must(t, "s3", "cp", "file", "s3://sources/file")
	aws.must(t, "s3api", "put-object", "--bucket", "sources", "--key", "one", "--body", "file", "--checksum-algorithm", "SHA256")
	for _, key := range []string{"file", "one"} {
		aws.must(t, "s3", "cp", "s3://sources/"+key, "back")
		if got, err := os.ReadFile(filepath.Join(aws.home, "back")); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s came back with %d bytes: %v", key, len(got), err)
		}
	}
}
