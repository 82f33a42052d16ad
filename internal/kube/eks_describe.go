package kube

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxDescription bounds the answer of EKS, which has some 5 kB.
const maxDescription = 1 << 20

// DescribeEKS completes a credential for EKS that lacks the server: it asks AWS
// for the cluster's endpoint and certificate authority. Any other credential
// is returned as it is.
func DescribeEKS(ctx context.Context, credential Credential) (Credential, error) {
	if credential.Kind != EKSCredential || credential.Server != "" {
		return credential, nil
	}
	if err := credential.Check(); err != nil {
		return credential, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, awsPatience, fmt.Errorf("AWS did not answer within %s", awsPatience))
	defer cancel()
	text, err := credential.askEKS(ctx)
	if err != nil {
		return credential, fmt.Errorf("describe EKS cluster %s in %s: %w", credential.EKSCluster, credential.Region, err)
	}
	var answer struct {
		Cluster struct {
			Endpoint             string `json:"endpoint"`
			Status               string `json:"status"`
			CertificateAuthority struct {
				Data string `json:"data"`
			} `json:"certificateAuthority"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return credential, fmt.Errorf("describe EKS cluster %s: read the answer: %w", credential.EKSCluster, err)
	}
	if answer.Cluster.Endpoint == "" {
		return credential, fmt.Errorf("EKS cluster %s has no endpoint: its status is %s", credential.EKSCluster, cmp.Or(answer.Cluster.Status, "unknown"))
	}
	authority, err := base64.StdEncoding.DecodeString(answer.Cluster.CertificateAuthority.Data)
	if err != nil {
		return credential, fmt.Errorf("describe EKS cluster %s: read its certificate authority: %w", credential.EKSCluster, err)
	}
	credential.Server = answer.Cluster.Endpoint
	if credential.CA == "" && !credential.Insecure {
		credential.CA = string(authority)
	}
	return credential, credential.Check()
}

// askEKS sends one signed request of EKS' REST API. AWS_ENDPOINT_URL_EKS names
// another endpoint, as it does for the AWS SDKs.
func (c Credential) askEKS(ctx context.Context) ([]byte, error) {
	settings, err := c.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := settings.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, awsCredentialError(err)
	}
	base := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_EKS"), "https://eks."+c.Region+"."+awsDomain(c.Region))
	//nolint:gosec // the region and the name have been checked, and the variable is the operator's own
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/clusters/"+url.PathEscape(c.EKSCluster), http.NoBody)
	if err != nil {
		return nil, err
	}
	if err := signer.NewSigner().SignHTTP(ctx, keys, request, emptyHash, "eks", c.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDescription))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, eksRefusal(response, text, c.EKSCluster)
	}
	return text, nil
}

func eksRefusal(response *http.Response, text []byte, cluster string) error {
	var refusal struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(text, &refusal) // a proxy may have answered: the status says it all then
	message := cmp.Or(refusal.Message, "AWS answered "+response.Status)
	switch response.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s. Check the name and the region: `aws eks list-clusters`", message)
	case http.StatusForbidden:
		return fmt.Errorf("%s. Allow eks:DescribeCluster on %s to this AWS identity, or give the server's URL and its certificate authority", message, cluster)
	}
	return fmt.Errorf("%s", message)
}
