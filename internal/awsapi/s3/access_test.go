package s3

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/store"
)

// try is one call of a client.
type try struct {
	name string
	call func(ctx context.Context, c *sdk.Client) error
}

func readingOf(bucket, key string) try {
	return try{"read " + key, func(ctx context.Context, c *sdk.Client) error {
		out, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: &bucket, Key: &key})
		if err == nil {
			out.Body.Close()
		}
		return err
	}}
}

func writing(bucket, key string) try {
	return try{"write " + key, func(ctx context.Context, c *sdk.Client) error {
		_, err := c.PutObject(ctx, &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("text")})
		return err
	}}
}

func beginning(bucket, key string) try {
	return try{"begin an upload to " + key, func(ctx context.Context, c *sdk.Client) error {
		_, err := c.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		return err
	}}
}

func copying(source, bucket, key string) try {
	return try{"copy " + source + " to " + key, func(ctx context.Context, c *sdk.Client) error {
		_, err := c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: &source})
		return err
	}}
}

func deleting(bucket, key string) try {
	return try{"delete " + key, func(ctx context.Context, c *sdk.Client) error {
		_, err := c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &bucket, Key: &key})
		return err
	}}
}

func deletingMany(bucket, key string) try {
	return try{"delete many", func(ctx context.Context, c *sdk.Client) error {
		_, err := c.DeleteObjects(ctx, &sdk.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
		return err
	}}
}

func listingOf(bucket string) try {
	return try{"list " + bucket, func(ctx context.Context, c *sdk.Client) error {
		_, err := c.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: &bucket})
		return err
	}}
}

func makingBuckets(name string) try {
	return try{"make a bucket", func(ctx context.Context, c *sdk.Client) error {
		_, err := c.CreateBucket(ctx, &sdk.CreateBucketInput{Bucket: &name})
		return err
	}}
}

func TestARoleBoundsWhatAKeyMayDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put(t, b.sdk(operatorID, ""), "key", "text")
	const denied = "AccessDenied"
	for _, row := range []struct {
		try
		viewer, operator, admin string
	}{
		{readingOf("sources", "key"), "", "", ""},
		{listingOf("sources"), "", "", ""},
		{writing("sources", "other"), denied, "", ""},
		{copying("sources/key", "sources", "copy"), denied, "", ""},
		{beginning("sources", "other"), denied, "", ""},
		{deleting("sources", "other"), denied, "", ""},
		{deletingMany("sources", "other"), denied, "", ""},
		{makingBuckets("made"), denied, denied, ""},
		{listingOf(artifactBucket), "", "", ""},
		{writing(artifactBucket, "web/app/x"), denied, denied, denied},
		{copying("sources/key", artifactBucket, "web/app/x"), denied, denied, denied},
		{beginning(artifactBucket, "web/app/x"), denied, denied, denied},
		{deleting(artifactBucket, "web/app/x"), denied, denied, denied},
		{deletingMany(artifactBucket, "web/app/x"), denied, denied, denied},
	} {
		for id, want := range map[string]string{viewerID: row.viewer, operatorID: row.operator, adminID: row.admin} {
			if got := codeOf(row.call(t.Context(), b.sdk(id, ""))); got != want {
				t.Errorf("%s, %s: %q, want %q", row.name, id, got, want)
			}
		}
	}
}

func TestASessionBoundsWhatItsHolderMayDo(t *testing.T) {
	t.Parallel()
	in, out := access.Object{Bucket: artifactBucket, Key: "web/source/1"}, access.Object{Bucket: artifactBucket, Key: "web/app/2"}
	b := setup(t, func(c *Config) {
		c.Keys = heldKeys{access.Scope{Job: "1", Reads: []access.Object{in}, Writes: []access.Object{out}}, time.Now().Add(time.Hour)}
	})
	put(t, b.sdk(operatorID, ""), "key", "text")
	o := store.Object{Bucket: in.Bucket, Key: in.Key, Size: 4, ETag: "e", Modified: time.Now()}
	digest, _, err := b.artifacts.Receive(t.Context(), strings.NewReader("made"))
	if err != nil {
		t.Fatal(err)
	}
	o.Artifact = digest
	if err := b.db.PutObject(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	const denied = "AccessDenied"
	for _, row := range []struct {
		try
		want string
	}{
		{readingOf(in.Bucket, in.Key), ""}, {writing(out.Bucket, out.Key), ""}, {readingOf(out.Bucket, out.Key), ""}, {beginning(out.Bucket, out.Key), ""},
		{copying(in.Bucket+"/"+in.Key, out.Bucket, out.Key), ""},
		{writing(in.Bucket, in.Key), denied}, {deleting(in.Bucket, in.Key), denied}, {readingOf("sources", "key"), denied}, {writing("sources", "key"), denied},
		{readingOf(in.Bucket, in.Key+"2"), denied}, {writing(out.Bucket, out.Key+"/"), denied}, {copying("sources/key", out.Bucket, out.Key), denied},
		{copying(in.Bucket+"/"+in.Key, "sources", "key"), denied}, {deletingMany(out.Bucket, out.Key), denied},
		{listingOf(in.Bucket), denied}, {listingOf("sources"), denied}, {makingBuckets("made"), denied},
	} {
		if got := codeOf(row.call(t.Context(), b.sdk(sessionID, token))); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	for session, want := range map[string]string{"": "InvalidToken", "another": "InvalidToken"} {
		if got := codeOf(readingOf(in.Bucket, in.Key).call(t.Context(), b.sdk(sessionID, session))); got != want {
			t.Errorf("with token %q: %q, want %q", session, got, want)
		}
	}
	if got := codeOf(readingOf("sources", "key").call(t.Context(), b.sdk(viewerID, token))); got != "InvalidToken" {
		t.Errorf("a lasting key with a token: %q", got)
	}
	signed, err := sdk.NewPresignClient(b.sdk(sessionID, token)).PresignGetObject(t.Context(), &sdk.GetObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if err != nil {
		t.Fatal(err)
	}
	if _, text := ask(t, http.MethodGet, signed.URL, ""); text != "made" {
		t.Errorf("by a link: %s", text)
	}
	if _, text := ask(t, http.MethodGet, strings.Replace(signed.URL, in.Key, out.Key, 1), ""); !strings.Contains(text, "SignatureDoesNotMatch") {
		t.Errorf("by a link to another: %s", text)
	}
	over := setup(t, func(c *Config) { c.Keys = heldKeys{access.Scope{Reads: []access.Object{in}}, time.Now()} })
	if got := codeOf(readingOf(in.Bucket, in.Key).call(t.Context(), over.sdk(sessionID, token))); got != "ExpiredToken" {
		t.Errorf("after its time: %q", got)
	}
}

// ask sends a request as anybody could, and reads what is answered.
func ask(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestPresignedRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.sdk(operatorID, "")
	put(t, c, "key", "text")
	get, err := sdk.NewPresignClient(c).PresignGetObject(t.Context(), &sdk.GetObjectInput{Bucket: new("sources"), Key: new("key"), ResponseContentType: new("text/html")})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := ask(t, "GET", get.URL, ""); status != 200 || text != "text" {
		t.Errorf("%d %s", status, text)
	}
	for name, url := range map[string]string{
		"another key": strings.Replace(get.URL, "/key?", "/other?", 1), "another type": strings.Replace(get.URL, "text%2Fhtml", "text%2Fplain", 1),
		"a longer life": strings.Replace(get.URL, "X-Amz-Expires=900", "X-Amz-Expires=901", 1), "another method": "",
	} {
		method := "GET"
		if url == "" {
			method, url = "DELETE", get.URL
		}
		if status, text := ask(t, method, url, ""); status != 403 || !strings.Contains(text, "<Code>SignatureDoesNotMatch</Code>") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	write, err := sdk.NewPresignClient(c).PresignPutObject(t.Context(), &sdk.PutObjectInput{Bucket: new("sources"), Key: new("new")})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := ask(t, "PUT", write.URL, "what came by curl"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if o, err := b.db.Object(t.Context(), "sources", "new"); err != nil || o.Size != 17 {
		t.Errorf("%v, object %+v", err, o)
	}
	for what, url := range map[string]string{
		"<Code>InvalidRequest</Code>": b.url + "/sources/key?AWSAccessKeyId=x&Signature=y&Expires=1", "<Code>AuthorizationHeaderMalformed</Code>": strings.Replace(get.URL, "X-Amz-Expires=900", "", 1),
	} {
		if _, text := ask(t, "GET", url, ""); !strings.Contains(text, what) {
			t.Errorf("%s: %s", url, text)
		}
	}
}

func TestABucketInTheNameOfTheHost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put(t, b.sdk(operatorID, ""), "dir/key", "text")
	there := sdk.New(sdk.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://towline.example.com"), Credentials: credentials.NewStaticCredentialsProvider(viewerID, secretKey, ""),
		HTTPClient: named{strings.TrimPrefix(b.url, "http://")}, RetryMaxAttempts: 1,
	})
	got, err := there.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: new("sources"), Key: new("dir/key")})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(got.Body); err != nil || string(text) != "text" {
		t.Errorf("%q %v", text, err)
	}
}

// named sends requests of every host to one address.
type named struct{ address string }

func (n named) Do(r *http.Request) (*http.Response, error) {
	r.Host, r.URL.Host = r.URL.Host, n.address
	return http.DefaultClient.Do(r)
}
