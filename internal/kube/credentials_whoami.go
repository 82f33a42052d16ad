package kube

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Identity is who a cluster takes one for.
type Identity struct {
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// WhoAmI asks the cluster whom it takes the credentials for.
func (c *Cluster) WhoAmI(ctx context.Context) (Identity, error) {
	client, err := authentication.NewForConfigAndClient(c.config, c.http)
	if err != nil {
		return Identity{}, fmt.Errorf("ask who one is: %w", err)
	}
	var review *authenticationv1.SelfSubjectReview
	err = retry(ctx, func(ctx context.Context) (err error) {
		review, err = client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return Identity{}, fmt.Errorf("ask cluster %s who one is: %w", c.Context, err)
	}
	return Identity{User: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}, nil
}
