package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/secret/amazon"
)

// KubeconfigFile is the kubeconfig in a function's package, and
// kubeconfigSecret the variable that names a secret of Secrets Manager with
// one.
const (
	KubeconfigFile   = "kubeconfig"
	kubeconfigSecret = "TOWLINE_KUBECONFIG_SECRET" //nolint:gosec // a name, not a secret
)

// Clusters finds clusters for the function: by the kubeconfig that it has, else
// by EKS.
type Clusters struct {
	Getenv func(string) string
	// Dir is where a kubeconfig may be written, readable by this user alone.
	Dir string
}

// Connect returns the cluster that the parameters name. No request is sent to
// it.
func (c Clusters) Connect(ctx context.Context, p Parameters) (*kube.Cluster, error) {
	packed := filepath.Join(cmp.Or(c.Getenv("LAMBDA_TASK_ROOT"), "."), KubeconfigFile)
	if _, err := os.Stat(packed); err == nil {
		return kube.Connect(packed, p.Cluster)
	}
	if id := c.Getenv(kubeconfigSecret); id != "" {
		return c.bySecret(ctx, id, p.Cluster)
	}
	region := cmp.Or(p.Region, c.Getenv("AWS_REGION"))
	switch {
	case p.Cluster == "":
		return nil, &parameterError{fmt.Errorf("UserParameters name no cluster, and the function has no kubeconfig: give the name of an EKS cluster, package one with `towline lambda package --kubeconfig FILE`, or name a secret of Secrets Manager by the variable %s", kubeconfigSecret)}
	case region == "":
		return nil, &parameterError{errors.New("UserParameters name no region for the EKS cluster")}
	}
	credential, err := kube.DescribeEKS(ctx, kube.Credential{Kind: kube.EKSCredential, EKSCluster: p.Cluster, Region: region, Role: p.Role, Namespace: p.Namespace})
	if err != nil {
		return nil, err
	}
	return kube.ConnectWith(p.Cluster, credential)
}

func (c Clusters) bySecret(ctx context.Context, id, cluster string) (*kube.Cluster, error) {
	text, err := new(amazon.Vault).Secret(ctx, secret.Reference{ID: id})
	if err != nil {
		return nil, fmt.Errorf("get the kubeconfig: %w", err)
	}
	file, err := os.CreateTemp(c.Dir, "kubeconfig-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("keep the kubeconfig: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("keep the kubeconfig: %w", err)
	}
	return kube.Connect(file.Name(), cluster)
}
