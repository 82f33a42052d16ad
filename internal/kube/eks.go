package kube

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/oauth2"
	"k8s.io/client-go/transport"
)

// An EKS token is a request to STS, GetCallerIdentity, signed but not sent: the
// cluster sends it and learns from STS who has signed it. It is good for 15
// minutes, whatever its X-Amz-Expires says.
const (
	eksTokenPrefix = "k8s-aws-v1."    //nolint:gosec // begins every token, so it is no secret
	eksTokenLife   = 14 * time.Minute // one minute is left for the clock and the way
	eksHeader      = "X-K8s-Aws-Id"   // carries the name of the cluster, under the signature
	emptyHash      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	awsPatience    = 30 * time.Second
)

// eksTokens makes tokens and keeps the last one for as long as it is good.
type eksTokens struct {
	credential Credential
	now        func() time.Time

	mu    sync.Mutex
	aws   *aws.Config // nil before the first token
	token *oauth2.Token
	made  time.Time
}

var _ transport.ResettableTokenSource = (*eksTokens)(nil)

func newEKSTokens(credential Credential) *eksTokens {
	return &eksTokens{credential: credential, now: time.Now}
}

// Token returns the present token, or a new one when it is about to expire.
func (t *eksTokens) Token() (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.token != nil && now.Before(t.token.Expiry) {
		return t.token, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), awsPatience, fmt.Errorf("AWS did not answer within %s", awsPatience))
	defer cancel()
	text, err := t.sign(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("make a token for EKS cluster %s: %w", t.credential.EKSCluster, err)
	}
	t.token, t.made = &oauth2.Token{AccessToken: text, Expiry: now.Add(eksTokenLife)}, now
	return t.token, nil
}

// ResetTokenOlderThan forgets a token that was refused.
func (t *eksTokens) ResetTokenOlderThan(moment time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made.Before(moment) {
		t.token = nil
	}
}

func (t *eksTokens) sign(ctx context.Context, now time.Time) (string, error) {
	if t.aws == nil {
		settings, err := t.credential.awsConfig(ctx)
		if err != nil {
			return "", err
		}
		t.aws = &settings
	}
	keys, err := t.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return "", awsCredentialError(err)
	}
	return signEKSToken(ctx, keys, t.credential, now)
}

func signEKSToken(ctx context.Context, keys aws.Credentials, credential Credential, now time.Time) (string, error) {
	query := url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}, "X-Amz-Expires": {"60"}}
	host := "sts." + credential.Region + "." + awsDomain(credential.Region)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/?"+query.Encode(), http.NoBody)
	if err != nil {
		return "", err
	}
	request.Header.Set(eksHeader, credential.EKSCluster)
	signed, _, err := signer.NewSigner().PresignHTTP(ctx, keys, request, emptyHash, "sts", credential.Region, now)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return eksTokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed)), nil
}

// awsDomain ends the host names of a region's services.
func awsDomain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// awsConfig are the keys of the credential, else those that the AWS SDK finds
// in this process's surroundings, in both cases exchanged for those of the role.
func (c Credential) awsConfig(ctx context.Context) (aws.Config, error) {
	settings := aws.Config{Region: c.Region, Credentials: credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)}
	if c.AccessKey == "" {
		var err error
		if settings, err = awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(c.Region)); err != nil {
			return settings, awsCredentialError(err)
		}
	}
	if c.Role != "" {
		provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(settings), c.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "towline" })
		settings.Credentials = aws.NewCredentialsCache(provider)
	}
	return settings, nil
}

func awsCredentialError(err error) error {
	return fmt.Errorf("get AWS credentials: %w. Give the server some (AWS_ACCESS_KEY_ID, a profile, pod identity or an instance role), or store keys with the cluster", err)
}

// eksSigned is what can be read in an EKS token.
type eksSigned struct{ accessKey, region, date string }

// readEKSToken takes a token apart. ok is false when it is none.
func readEKSToken(token string) (found eksSigned, ok bool) {
	encoded, ok := strings.CutPrefix(token, eksTokenPrefix)
	if !ok {
		return eksSigned{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return eksSigned{}, false
	}
	signed, err := url.Parse(string(text))
	if err != nil {
		return eksSigned{}, false
	}
	scope := strings.Split(signed.Query().Get("X-Amz-Credential"), "/")
	if len(scope) != 5 {
		return eksSigned{}, false
	}
	return eksSigned{accessKey: scope[0], region: scope[2], date: cmp.Or(signed.Query().Get("X-Amz-Date"), "an unknown time")}, true
}
