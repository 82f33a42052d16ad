package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/store"
)

// The keys of all tests, one of each role, and that of a session.
const (
	viewerID   = "AKIAVIEWERVIEWER2345"
	operatorID = "AKIAOPERATOROPER2345"
	adminID    = "AKIAADMINADMINAD2345"
	sessionID  = "ASIASESSIONSESSI2345"
	secretKey  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	token      = "the-token-of-the-session"
)

// heldKeys are keys in memory.
type heldKeys struct {
	scope   access.Scope
	expires time.Time
}

func (k heldKeys) Key(_ context.Context, id string) (access.Key, error) {
	roles := map[string]client.Role{viewerID: client.Viewer, operatorID: client.Operator, adminID: client.Admin}
	switch {
	case id == sessionID:
		return access.Key{ID: id, Secret: secretKey, Session: &access.Session{Token: sha256.Sum256([]byte(token)), Expires: k.expires, Scope: k.scope}}, nil
	case roles[id] == "":
		return access.Key{}, fmt.Errorf("access key %s: %w", id, store.ErrNotFound)
	}
	return access.Key{ID: id, Secret: secretKey, Role: roles[id]}, nil
}

func (heldKeys) Used(context.Context, string) error { return nil }

// bench is a Handler that is served, and what is behind it.
type bench struct {
	url       string
	handler   *Handler
	db        *store.DB
	bytes     *artifact.Store
	artifacts *artifact.Store
	dir       string // of the bytes
	server    *httptest.Server
}

// setup serves a Handler on the loopback with a bucket named sources. change may
// alter its Config.
func setup(t testing.TB, change ...func(*Config)) bench {
	t.Helper()
	dir := t.TempDir()
	b := bench{dir: filepath.Join(dir, "objects")}
	var err error
	if b.db, err = store.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if b.bytes, err = artifact.Open(t.Context(), b.dir); err != nil {
		t.Fatal(err)
	}
	if b.artifacts, err = artifact.Open(t.Context(), filepath.Join(dir, "artifacts")); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Keys: heldKeys{}, Objects: b.db, Bytes: b.bytes, Artifacts: b.artifacts, Domains: []string{"towline.example.com"}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	if err := b.db.AddBucket(t.Context(), store.Bucket{Name: "sources", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	b.handler = New(config)
	b.server = httptest.NewServer(b.handler)
	b.url = b.server.URL
	t.Cleanup(func() {
		b.server.Close()
		if err := errors.Join(b.db.Close(), b.bytes.Close(), b.artifacts.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// sdk is a client of AWS's Go SDK with the key.
func (b bench) sdk(keyID, session string, change ...func(*sdk.Options)) *sdk.Client {
	options := sdk.Options{
		Region: "eu-west-1", BaseEndpoint: &b.url, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(keyID, secretKey, session),
		HTTPClient: http.DefaultClient, RetryMaxAttempts: 1,
		// As an application has it that loads its configuration.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	for _, c := range change {
		c(&options)
	}
	return sdk.New(options)
}

// put uploads a text.
func put(t testing.TB, c *sdk.Client, key, text string) *sdk.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: new("sources"), Key: &key, Body: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stored counts the files of bytes.
func (b bench) stored(t testing.TB) (count int) {
	t.Helper()
	err := b.bytes.Each(t.Context(), func(string) error {
		count++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// codeOf is the code of the error that a client got, "" for none.
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
