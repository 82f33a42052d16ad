package kube_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// eksCluster is the name that the API server of the tests goes by on EKS.
const eksCluster = "my-cluster"

// eksWebhook is a token webhook that knows secret keys by access key. It checks
// a token by computing the signature anew from AWS' description of version 4,
// without the code that made it, as STS would.
type eksWebhook map[string]string

func (keys eksWebhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Spec       map[string]any `json:"spec,omitempty"`
		Status     map[string]any `json:"status"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token, _ := review.Spec["token"].(string)
	review.Spec, review.Status = nil, map[string]any{"authenticated": false}
	if accessKey, err := keys.verify(token, eksCluster, time.Now()); err == nil {
		review.Status = map[string]any{"authenticated": true, "user": map[string]any{"username": "aws:" + accessKey, "groups": []string{"eks"}}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

func (keys eksWebhook) verify(token, cluster string, now time.Time) (accessKey string, err error) {
	encoded, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	if !ok {
		return "", fmt.Errorf("no EKS token")
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", err
	}
	signed, err := url.Parse(string(text))
	if err != nil {
		return "", err
	}
	query := signed.Query()
	scope := strings.Split(query.Get("X-Amz-Credential"), "/")
	if len(scope) != 5 || scope[3] != "sts" || scope[4] != "aws4_request" {
		return "", fmt.Errorf("scope %q", scope)
	}
	at, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	switch {
	case err != nil:
		return "", err
	case now.Sub(at) > 15*time.Minute || at.Sub(now) > 5*time.Minute:
		return "", fmt.Errorf("signed at %s", at)
	case signed.Scheme != "https" || signed.Host != "sts."+scope[2]+".amazonaws.com" || signed.Path != "/":
		return "", fmt.Errorf("not STS: %s://%s%s", signed.Scheme, signed.Host, signed.Path)
	case query.Get("Action") != "GetCallerIdentity" || query.Get("X-Amz-SignedHeaders") != "host;x-k8s-aws-id" || query.Get("X-Amz-Expires") != "60":
		return "", fmt.Errorf("query %v", query)
	}
	got := query.Get("X-Amz-Signature")
	query.Del("X-Amz-Signature")
	empty := sha256.Sum256(nil)
	canonical := strings.Join([]string{
		"GET", "/", canonicalQuery(query), "host:" + signed.Host, "x-k8s-aws-id:" + cluster, "", "host;x-k8s-aws-id", hex.EncodeToString(empty[:]),
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", query.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(hash[:])}, "\n")
	key := []byte("AWS4" + keys[scope[0]])
	for _, part := range scope[1:] {
		key = sign(key, part)
	}
	if keys[scope[0]] == "" || subtle.ConstantTimeCompare([]byte(got), []byte(hex.EncodeToString(sign(key, toSign)))) != 1 {
		return "", fmt.Errorf("the signature of %s is not right", scope[0])
	}
	return scope[0], nil
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is AWS' URI encoding, which has %20 for a blank.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
