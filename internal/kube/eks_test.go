package kube_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/towline/towline/internal/kube"
)

var exampleKeys = eksWebhook{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func exampleAWS() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: exampleKeys["AKIDEXAMPLE"]}
}

func TestEKSToken(t *testing.T) {
	t.Parallel()
	credential := kube.Credential{Kind: kube.EKSCredential, EKSCluster: eksCluster, Region: "us-east-1"}
	token, err := kube.SignEKSToken(t.Context(), exampleAWS(), credential, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("is what the AWS command line signs", func(t *testing.T) {
		t.Parallel()
		text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
		if err != nil || string(text) != goldenURL {
			t.Errorf("%v\ngot  %s\nwant %s", err, text, goldenURL)
		}
	})
	t.Run("verifies for its cluster, for a quarter of an hour", func(t *testing.T) {
		t.Parallel()
		if who, err := exampleKeys.verify(token, eksCluster, noon.Add(14*time.Minute)); err != nil || who != "AKIDEXAMPLE" {
			t.Errorf("%q, %v", who, err)
		}
		if _, err := exampleKeys.verify(token, "another-cluster", noon); err == nil {
			t.Error("it verifies for another cluster")
		}
		if _, err := exampleKeys.verify(token, eksCluster, noon.Add(16*time.Minute)); err == nil {
			t.Error("it verifies after 16 minutes")
		}
	})
	t.Run("shows who signed it", func(t *testing.T) {
		t.Parallel()
		if got, ok := kube.ReadEKSToken(token); !ok || fmt.Sprint(got) != "{AKIDEXAMPLE us-east-1 20260504T120000Z}" {
			t.Errorf("%v, %t", got, ok)
		}
	})
}

func TestEKSTokensAreMadeAnewInTime(t *testing.T) {
	t.Parallel()
	now := noon
	tokens := kube.NewEKSTokens(kube.Credential{
		Kind: kube.EKSCredential, EKSCluster: eksCluster, Region: "eu-central-1", AccessKey: "AKIDEXAMPLE", SecretKey: exampleKeys["AKIDEXAMPLE"],
	}, func() time.Time { return now })
	next := func() string {
		t.Helper()
		token, err := tokens.Token()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exampleKeys.verify(token.AccessToken, eksCluster, now.Add(time.Minute)); err != nil {
			t.Fatalf("a minute later: %v", err)
		}
		return token.AccessToken
	}
	first := next()
	now = noon.Add(14*time.Minute - time.Second)
	if next() != first {
		t.Error("a new token within 14 minutes")
	}
	now = noon.Add(14 * time.Minute)
	second := next()
	if second == first {
		t.Error("no new token after 14 minutes")
	}
	now = now.Add(time.Second)
	tokens.ResetTokenOlderThan(noon)
	if next() != second {
		t.Error("a token younger than the refusal was dropped")
	}
	tokens.ResetTokenOlderThan(now)
	if next() == second {
		t.Error("a refused token was kept")
	}
}

// TestEKSByTheProcessOwnCredentials takes keys from the environment, exchanges
// them for a role's at an STS of the test, and asks an EKS of the test where
// the cluster is. Both check the signature.
func TestEKSByTheProcessOwnCredentials(t *testing.T) {
	s := apiServer(t)
	var asked []string
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+strings.Split(r.Header.Get("Authorization"), ",")[0])
		switch {
		case r.Method == http.MethodPost:
			fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>tok</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
				exampleKeys["AKIDEXAMPLE"], time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		case r.URL.Path == "/clusters/"+eksCluster:
			_ = json.NewEncoder(w).Encode(map[string]any{"cluster": map[string]any{
				"endpoint": s.URL, "status": "ACTIVE", "certificateAuthority": map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(s.CA))},
			}})
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No cluster found for name: other."}`)
		}
	}))
	t.Cleanup(cloud.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDOFTHESERVER", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_STS": cloud.URL, "AWS_ENDPOINT_URL_EKS": cloud.URL,
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	given := kube.Credential{Kind: kube.EKSCredential, EKSCluster: eksCluster, Region: "eu-west-1", Role: "arn:aws:iam::123456789012:role/deployer"}
	credential, err := kube.DescribeEKS(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, credential).WhoAmI(t.Context()); err != nil || got.User != "aws:AKIDEXAMPLE" {
		t.Errorf("%+v, %v", got, err)
	}
	date := time.Now().UTC().Format("20060102")
	want := []string{
		"POST / AWS4-HMAC-SHA256 Credential=AKIDOFTHESERVER/" + date + "/eu-west-1/sts/aws4_request",
		"GET /clusters/my-cluster AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + date + "/eu-west-1/eks/aws4_request",
		"POST / AWS4-HMAC-SHA256 Credential=AKIDOFTHESERVER/" + date + "/eu-west-1/sts/aws4_request",
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
	t.Run("a cluster that is not there is told", func(t *testing.T) {
		other := given
		other.EKSCluster = "other"
		if _, err := kube.DescribeEKS(t.Context(), other); err == nil || !strings.Contains(err.Error(), "No cluster found") || !strings.Contains(err.Error(), "aws eks list-clusters") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a server without AWS credentials is told how to get some", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		given.Role = ""
		if _, err := kube.DescribeEKS(t.Context(), given); err == nil || !strings.Contains(err.Error(), "pod identity or an instance role") {
			t.Errorf("error %v", err)
		}
	})
}

// goldenURL is what botocore 1.29 signs at noon with these keys, by the steps
// of `aws eks get-token`.
const goldenURL = "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256" +
	"&X-Amz-Credential=AKIDEXAMPLE%2F20260504%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20260504T120000Z&X-Amz-Expires=60" +
	"&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=c707a4c1b05d5ed15c74cbc249142bcdecc887e6e106ef5b6feee564b7b715d1"
