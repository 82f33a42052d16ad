package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Credential is how a cluster is found and signed in to. It has the fields of
// kube.Credential by the same names, but for those that point to files of the
// server. The server never gives the write-only ones back.
type Credential struct {
	Kind string `json:"kind" enum:"in-cluster,client-certificate,bearer-token,bootstrap-token,eks,proxy,basic" doc:"how to sign in"`

	Server     string `json:"server,omitempty" doc:"URL of the API server; https, or http on a loopback address" example:"https://10.0.0.10:6443"`
	CA         string `json:"ca,omitempty" doc:"certificate authority as PEM, default the system's"`
	Insecure   bool   `json:"insecure,omitempty" doc:"do not check the server's certificate"`
	ServerName string `json:"serverName,omitempty" doc:"name that the server's certificate carries, when it is not the URL's"`
	ProxyURL   string `json:"proxyURL,omitempty" doc:"http, https or socks5 proxy on the way; a password in it is not given back"`
	Namespace  string `json:"namespace,omitempty" doc:"default namespace"`

	Token       string   `json:"token,omitempty" writeOnly:"true" doc:"bearer-token, bootstrap-token"`
	Certificate string   `json:"certificate,omitempty" doc:"client-certificate, proxy: PEM"`
	Key         string   `json:"key,omitempty" writeOnly:"true" doc:"client-certificate, proxy: PEM"`
	User        string   `json:"user,omitempty" doc:"proxy, basic"`
	Groups      []string `json:"groups,omitempty" doc:"proxy"`
	Password    string   `json:"password,omitempty" writeOnly:"true" doc:"basic"`

	EKSCluster   string `json:"eksCluster,omitempty" doc:"eks: name of the cluster there"`
	Region       string `json:"region,omitempty" doc:"eks" example:"eu-west-1"`
	Role         string `json:"role,omitempty" doc:"eks: ARN of a role to take on"`
	AccessKey    string `json:"accessKey,omitempty" doc:"eks: default the server's own AWS credentials"`
	SecretKey    string `json:"secretKey,omitempty" writeOnly:"true" doc:"eks"`
	SessionToken string `json:"sessionToken,omitempty" writeOnly:"true" doc:"eks"`
}

// CredentialOf copies a credential of a type that has the same fields in JSON.
func CredentialOf(other any) (c Credential, err error) { return c, copyFields(other, &c) }

// Into copies the credential to a type that has the same fields in JSON.
func (c Credential) Into(other any) error { return copyFields(c, other) }

// copyFields fails on a field that the other type lacks, rather than lose it.
func copyFields(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("copy a credential: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("copy a credential: %w", err)
	}
	return nil
}

// Cluster is a cluster that deploy actions can name.
type Cluster struct {
	Name string `json:"name"`
	// Stored tells it from a context of the server's kubeconfig, of which only
	// the name is known.
	Stored     bool        `json:"stored" doc:"stored with the server; else a context of its kubeconfig"`
	Credential *Credential `json:"credential,omitempty" doc:"without its secrets"`
	User       string      `json:"user,omitempty" doc:"who the credential claims to be"`
	Expires    *time.Time  `json:"expires,omitempty" doc:"when the credential says that it expires"`
	Created    *time.Time  `json:"created,omitempty"`
	Updated    *time.Time  `json:"updated,omitempty" doc:"when the credential was last given"`
	Warnings   []string    `json:"warnings,omitempty"`
	Problem    string      `json:"problem,omitempty" doc:"why the credential cannot be used, such as a lost key"`
}

// ClusterRequest stores a cluster.
type ClusterRequest struct {
	Credential Credential `json:"credential"`
	Replace    bool       `json:"replace,omitempty" doc:"give a new credential to a cluster that is there"`
}

// ClusterTest is what a cluster answers to its credential.
type ClusterTest struct {
	Name      string   `json:"name"`
	Stored    bool     `json:"stored"`
	Server    string   `json:"server"`
	Reachable bool     `json:"reachable" doc:"the API server answered with its version"`
	Version   string   `json:"version,omitempty"`
	User      string   `json:"user,omitempty" doc:"who the cluster takes Towline for"`
	Groups    []string `json:"groups,omitempty"`
	Namespace string   `json:"namespace" doc:"where the rights were looked for"`
	Wanted    int      `json:"wanted" doc:"how many rights a deployment needs"`
	Missing   []string `json:"missing" doc:"rights that are missing, as: patch deployments.apps/scale"`
	Helpful   []string `json:"helpful,omitempty" doc:"rights in the whole cluster that are missing and can be done without"`
	Problem   string   `json:"problem,omitempty" doc:"why the test ended early"`
	Warnings  []string `json:"warnings,omitempty"`
}

// Clusters lists the clusters that deploy actions can name: the stored ones,
// then the contexts of the server's kubeconfig.
func (c *Client) Clusters(ctx context.Context) (found []Cluster, err error) {
	return found, c.call(ctx, http.MethodGet, "/clusters", nil, &found)
}

// AddCluster stores a cluster.
func (c *Client) AddCluster(ctx context.Context, name string, req ClusterRequest) (added Cluster, err error) {
	return added, c.call(ctx, http.MethodPut, "/clusters/"+url.PathEscape(name), req, &added)
}

// RemoveCluster forgets a stored cluster.
func (c *Client) RemoveCluster(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/clusters/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// TestCluster asks a cluster who one is there and what one may do in a
// namespace. An empty namespace means the credential's own.
func (c *Client) TestCluster(ctx context.Context, name, namespace string) (t ClusterTest, err error) {
	query := url.Values{"namespace": {namespace}}
	return t, c.call(ctx, http.MethodPost, "/clusters/"+url.PathEscape(name)+"/test?"+query.Encode(), nil, &t)
}

// Rekeyed says how many clusters were encrypted anew.
type Rekeyed struct {
	Clusters int `json:"clusters"`
}

// RekeyClusters makes a new key and encrypts all stored clusters with it.
func (c *Client) RekeyClusters(ctx context.Context) (r Rekeyed, err error) {
	return r, c.call(ctx, http.MethodPost, "/clusters/rekey", nil, &r)
}
