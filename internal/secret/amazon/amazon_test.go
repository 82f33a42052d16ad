package amazon_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/secret/amazon"
)

// keyID and secretKey are those that AWS's documentation has.
const keyID, secretKey = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// signed signs the request that came once more and compares.
func signed(t *testing.T, r *http.Request, body []byte) bool {
	t.Helper()
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential="+keyID+"/")
	scope := strings.Split(rest, "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(scope) < 4 || time.Since(at).Abs() > time.Hour {
		return false
	}
	_, names, _ := strings.Cut(rest, "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	again := r.Clone(t.Context())
	again.URL.Scheme, again.URL.Host, again.Header = "http", r.Host, http.Header{}
	for name := range strings.SplitSeq(names, ";") {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	again.ContentLength = int64(len(body))
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, again, hex.EncodeToString(sum[:]), scope[2], scope[1], at); err != nil {
		t.Error(err)
	}
	return again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

// serveAWS answers as AWS's two services do.
func serveAWS(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := http.StatusOK
		var answer string
		var in struct {
			Name, SecretId, VersionStage, VersionId string
			WithDecryption                          bool
		}
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&in); err != nil {
			t.Error(err)
		}
		operation := r.Header.Get("X-Amz-Target")
		switch {
		case !signed(t, r, body):
			status, answer = 403, `{"__type":"InvalidSignatureException","message":"wrong signature"}`
		case operation == "AmazonSSM.GetParameter" && in.Name == "/web/db" && in.WithDecryption:
			answer = `{"Parameter":{"Name":"/web/db","Type":"SecureString","Value":"s3cret","Version":1}}`
		case operation == "AmazonSSM.GetParameter" && in.Name == "/closed":
			status, answer = 400, `{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/x is not authorized"}`
		case operation == "AmazonSSM.GetParameter":
			status, answer = 400, `{"__type":"ParameterNotFound"}`
		case operation == "secretsmanager.GetSecretValue" && in.SecretId == "web/db":
			answer = `{"Name":"web/db","SecretString":"{\"stage\":\"` + in.VersionStage + `\",\"version\":\"` + in.VersionId + `\"}"}`
		case operation == "secretsmanager.GetSecretValue" && in.SecretId == "binary":
			answer = `{"Name":"binary","SecretBinary":"AAEC"}`
		default:
			status, answer = 400, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
}

func TestVault(t *testing.T) {
	serveAWS(t)
	var v amazon.Vault
	for name, c := range map[string]struct {
		parameter bool
		r         secret.Reference
		want, err string
	}{
		"a parameter":                 {true, secret.Reference{ID: "/web/db"}, "s3cret", ""},
		"a parameter that is missing": {true, secret.Reference{ID: "/none"}, "", "AWS has no parameter /none in eu-west-1"},
		"a parameter that is closed":  {true, secret.Reference{ID: "/closed"}, "", "AccessDeniedException: User: arn:aws:iam::1:user/x is not authorized: allow ssm:GetParameter"},
		"a secret":                    {false, secret.Reference{ID: "web/db"}, `{"stage":"","version":""}`, ""},
		"an older version":            {false, secret.Reference{ID: "web/db", Stage: "AWSPREVIOUS", Version: "x"}, `{"stage":"AWSPREVIOUS","version":"x"}`, ""},
		"a secret that is missing":    {false, secret.Reference{ID: "none"}, "", "AWS has no secret none in eu-west-1"},
		"a secret that is binary":     {false, secret.Reference{ID: "binary"}, "", "secret binary at AWS is binary"},
	} {
		t.Run(name, func(t *testing.T) {
			get := v.Secret
			if c.parameter {
				get = v.Parameter
			}
			got, err := get(t.Context(), c.r)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v", got, err)
			}
			_, missing := errors.AsType[*amazon.NotFoundError](err)
			_, mendable := errors.AsType[*secret.Error](err)
			if strings.Contains(name, "missing") != missing || (strings.Contains(name, "closed") || strings.Contains(name, "binary")) != mendable {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestAWrongKeyAndAMissingRegionAreTold(t *testing.T) {
	serveAWS(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	var v amazon.Vault
	if _, err := v.Parameter(t.Context(), secret.Reference{ID: "/web/db"}); err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("with a wrong key: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	var another amazon.Vault
	if _, err := another.Secret(t.Context(), secret.Reference{ID: "web/db"}); err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
}
