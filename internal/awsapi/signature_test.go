package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/smithy-go"

	"github.com/towline/towline/internal/awsapi/sigv4"
)

// signing is one request, and how it is signed.
type signing struct {
	url, target, body string
	keyID, secret     string
	service, region   string
	at                time.Time
	header            http.Header
	afterwards        func(r *http.Request) // what happens to it on the way
	bodyOnTheWay      string
}

// send signs a request with the SDK's signer and sends it.
func (s signing) send(t *testing.T) (status int, code, message string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = s.header.Clone()
	r.Header.Set("X-Amz-Target", s.target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	digest := sigv4.Digest([]byte(s.body))
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: s.secret}, r, digest, s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	if s.afterwards != nil {
		s.afterwards(r)
	}
	if s.bodyOnTheWay != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s.bodyOnTheWay)), int64(len(s.bodyOnTheWay))
	}
	return exchange(t, r)
}

// exchange sends a request and reads the answer's error.
func exchange(t *testing.T, r *http.Request) (status int, code, message string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if id := response.Header.Get("X-Amzn-Requestid"); len(id) != 36 || response.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("request id %q, content type %q", id, response.Header.Get("Content-Type"))
	}
	return response.StatusCode, answer.Type, answer.Message
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 0, 5, 0, 0, time.UTC)
	b := setup(t, func(c *Config) { c.Now = func() time.Time { return now } })
	fixed := setup(t, func(c *Config) { c.Now = func() time.Time { return now }; c.Region = "eu-west-1" })
	const mismatch = "The request signature we calculated does not match"
	for name, c := range map[string]struct {
		change  func(s *signing)
		code    string // "" when it is let in
		message string
	}{
		"a good key":                        {func(*signing) {}, "", ""},
		"in any region":                     {func(s *signing) { s.region = "us-gov-west-1" }, "", ""},
		"in the one region":                 {func(s *signing) { s.url = fixed.url }, "", ""},
		"a clock 15 minutes slow":           {func(s *signing) { s.at = now.Add(-4 * time.Minute) }, "", ""},
		"a clock 15 minutes fast":           {func(s *signing) { s.at = now.Add(15 * time.Minute) }, "", ""},
		"headers with spaces":               {func(s *signing) { s.header.Set("X-Amz-Meta-A", "  a   b  ") }, "", ""},
		"a digest of the body that is true": {func(s *signing) { s.header.Set("X-Amz-Content-Sha256", sigv4.Digest([]byte(s.body))) }, "", ""},
		"a header the signature leaves out": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Set("User-Agent", "x") } }, "", ""},
		"a wrong secret":                    {func(s *signing) { s.secret = "wrong" }, "InvalidSignatureException", mismatch},
		"no secret":                         {func(s *signing) { s.secret = "" }, "InvalidSignatureException", mismatch},
		"an unknown key":                    {func(s *signing) { s.keyID = "AKIANOBODYNOBODY2345" }, "UnrecognizedClientException", "The security token included in the request is invalid."},
		"a key that is none":                {func(s *signing) { s.keyID = "AKIA'; DROP" }, "UnrecognizedClientException", "The security token included"},
		"another body":                      {func(s *signing) { s.bodyOnTheWay = `{"x":1}` }, "InvalidSignatureException", mismatch},
		"a digest of the body that is false": {func(s *signing) { s.header.Set("X-Amz-Content-Sha256", sigv4.Digest([]byte("x"))) }, "InvalidSignatureException",
			mismatch},
		"a payload that is not signed": {func(s *signing) { s.header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, "InvalidSignatureException", mismatch},
		"another operation": {func(s *signing) {
			s.afterwards = func(r *http.Request) { r.Header.Set("X-Amz-Target", "CodePipeline_20150709.DeletePipeline") }
		}, "InvalidSignatureException", mismatch},
		"another host": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Host = "elsewhere" } }, "InvalidSignatureException", mismatch},
		"a header of AWS's that is not signed": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "x") } },
			"InvalidSignatureException", "'x-amz-meta-a' must be a 'SignedHeader' in the AWS Authorization."},
		"an old clock": {func(s *signing) { s.at = now.Add(-15*time.Minute - time.Second) }, "InvalidSignatureException",
			"Signature expired: 20260301T234959Z is now earlier than 20260301T235000Z (20260302T000500Z - 15 min.)"},
		"a clock of tomorrow": {func(s *signing) { s.at = now.Add(24 * time.Hour) }, "InvalidSignatureException",
			"Signature not yet current: 20260303T000500Z is still later than 20260302T002000Z (20260302T000500Z + 15 min.)"},
		"a date unlike the scope's": {func(s *signing) {
			s.afterwards = func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260301T235900Z") }
		}, "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260302' != '20260301', from '20260301T235900Z'."},
		"a date that is none": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Set("X-Amz-Date", "now") } }, "IncompleteSignatureException",
			"Date must be in ISO-8601 'basic format'. Got 'now'."},
		"no date": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Del("X-Amz-Date") } }, "IncompleteSignatureException",
			"requires existence of either"},
		"another service": {func(s *signing) { s.service = "codebuild" }, "InvalidSignatureException", "Credential should be scoped to correct service: 'codepipeline'. "},
		"another region": {func(s *signing) { s.url, s.region = fixed.url, "us-east-1" }, "InvalidSignatureException",
			"Credential should be scoped to a valid region, this server's is 'eu-west-1'. "},
		"a session": {func(s *signing) { s.header.Set("X-Amz-Security-Token", "session") }, "UnrecognizedClientException", "The security token included"},
		"nobody":    {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Del("Authorization") } }, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		"a token of the native API": {func(s *signing) { s.afterwards = func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") } },
			"IncompleteSignatureException", "AWS4-HMAC-SHA256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := signing{url: b.url, target: targetPrefix + "ListPipelines", body: "{}", keyID: viewerID, secret: secretKey, service: "codepipeline", region: "eu-west-1", at: now, header: http.Header{}}
			c.change(&s)
			status, code, message := s.send(t)
			want := http.StatusOK
			if c.code != "" {
				want = http.StatusBadRequest
			}
			if status != want || code != c.code || !strings.Contains(message, c.message) {
				t.Errorf("got %d %s %q, want %d %s %q", status, code, message, want, c.code, c.message)
			}
			if strings.Contains(message, secretKey) {
				t.Error("the answer holds the secret")
			}
		})
	}
}

// TestAClientThatSignsItsUserAgentAndDateIsLetIn is what AWS's SDK for .NET and
// older clients do, and the Go SDK's signer never does.
func TestAClientThatSignsItsUserAgentAndDateIsLetIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().UTC().Truncate(time.Second)
	for name, date := range map[string]string{"as HTTP writes it": now.Format(http.TimeFormat), "as SigV4 writes it": now.Format(signedAt)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"User-Agent": "aws-sdk-dotnet/3", "Date": date, "X-Amz-Target": targetPrefix + "ListPipelines", "Content-Length": "2"} {
				r.Header.Set(name, value)
			}
			signed := []string{"content-length", "date", "host", "user-agent", "x-amz-target"}
			r.Host = strings.TrimPrefix(b.url, "http://")
			r.Header.Set("Authorization", signedByHand(r, signed, now, "{}"))
			if status, code, message := exchange(t, r); status != http.StatusOK {
				t.Errorf("got %d %s %q", status, code, message)
			}
		})
	}
}

// signedByHand is the Authorization of a POST of / that signs these headers, as
// AWS's documentation writes it down step by step.
func signedByHand(r *http.Request, signed []string, at time.Time, body string) string {
	canonical := "POST\n/\n\n"
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + strings.Join(signed, ";") + "\n" + sigv4.Digest([]byte(body))
	scope := at.Format("20060102") + "/eu-west-1/codepipeline/aws4_request"
	key := []byte("AWS4" + secretKey)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+at.Format(signedAt)+"\n"+scope+"\n"+sigv4.Digest([]byte(canonical))) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%x", viewerID, scope, strings.Join(signed, ";"), key)
}

// signedAt is SigV4's form of an instant.
const signedAt = "20060102T150405Z"

// TestCurlIsLetIn signs with a third implementation. Old curls sign the host
// and the date alone, which would let anybody change the operation.
func TestCurlIsLetIn(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: install Debian's package curl (scripts/deps test)")
	}
	b := setup(t)
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--aws-sigv4", "aws:amz:eu-west-1:codepipeline", "--user", viewerID+":"+secretKey,
		"-H", "X-Amz-Target: "+"CodePipeline_20150709.ListPipelines", "-H", "Content-Type: application/x-amz-json-1.1", "-d", "{}", b.url).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	text := string(out)
	if !strings.Contains(text, `"pipelines":[]`) && !strings.Contains(text, "'x-amz-target' must be a 'SignedHeader'") {
		t.Errorf("curl got %s", text)
	}
}

// TestTheSDKCorrectsItsClock holds the words of an expired signature to what an
// SDK needs: it takes the time from the answer and tries again.
func TestTheSDKCorrectsItsClock(t *testing.T) {
	t.Parallel()
	ahead := func() time.Time { return time.Now().Add(3 * time.Hour) }
	b := setup(t, func(c *Config) { c.Now = ahead })
	front := b.url
	b.url = front
	fast := codepipeline.New(codepipeline.Options{
		Region: "eu-west-1", BaseEndpoint: &front, Credentials: credentials.NewStaticCredentialsProvider(viewerID, secretKey, ""), RetryMaxAttempts: 2,
		HTTPClient: dated{ahead},
	})
	if _, err := fast.ListPipelines(t.Context(), &codepipeline.ListPipelinesInput{}); err != nil {
		t.Error(err)
	}
}

// dated is an HTTP client whose answers bear the server's date.
type dated struct{ now func() time.Time }

func (d dated) Do(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(r)
	if err == nil {
		response.Header.Set("Date", d.now().UTC().Format(http.TimeFormat))
	}
	return response, err
}

func TestARoleBoundsWhatAKeyMayDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold(t, "web")
	ctx := t.Context()
	reads := func(c *codepipeline.Client) error {
		_, err := c.GetPipeline(ctx, &codepipeline.GetPipelineInput{Name: new("web")})
		return err
	}
	runs := func(c *codepipeline.Client) error {
		_, err := c.PollForThirdPartyJobs(ctx, &codepipeline.PollForThirdPartyJobsInput{ActionTypeId: &types.ActionTypeId{
			Category: types.ActionCategoryTest, Owner: types.ActionOwnerThirdParty, Provider: new("p"), Version: new("1"),
		}})
		return err
	}
	changes := func(c *codepipeline.Client) error {
		_, err := c.DeletePipeline(ctx, &codepipeline.DeletePipelineInput{Name: new("other")})
		return err
	}
	const denied = "AccessDeniedException"
	for id, want := range map[string][3]string{
		viewerID: {"", denied, denied}, operatorID: {"", "OperationNotImplementedException", denied}, adminID: {"", "OperationNotImplementedException", ""},
	} {
		for i, try := range []func(*codepipeline.Client) error{reads, runs, changes} {
			if got := codeOf(try(b.sdk(id, secretKey))); got != want[i] {
				t.Errorf("%s does %d: %q, want %q", id, i, got, want[i])
			}
		}
	}
	if b.keys.used[viewerID] != 3 {
		t.Errorf("the use was recorded %d times", b.keys.used[viewerID])
	}
	if err := reads(b.sdk(viewerID, "wrong")); codeOf(err) != "InvalidSignatureException" || b.keys.used[viewerID] != 3 {
		t.Errorf("%v, and the use was recorded %d times", err, b.keys.used[viewerID])
	}
}

// codeOf is the name of the exception that a client got, "" for none.
func codeOf(err error) string {
	var answer smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &answer):
		return answer.ErrorCode()
	}
	return err.Error()
}
