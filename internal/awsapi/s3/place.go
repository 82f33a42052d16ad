package s3

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/towline/towline/internal/store"
)

// artifactBucket has the artifacts of executions.
const artifactBucket = store.ArtifactBucket

// maxKey bounds a key, in bytes.
const maxKey = 1024

// bucketForm is what a bucket may be called, in AWS's words.
var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// where is the bucket and the key that a request is about, by its path or by its
// host and its path. Both may be "".
func (h *Handler) where(r *http.Request) (bucket, key string, err error) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	bucket, key, _ = strings.Cut(path, "/")
	for _, domain := range h.Domains {
		if name, ok := strings.CutSuffix(strings.ToLower(host), "."+strings.ToLower(domain)); ok {
			bucket, key = name, path
		}
	}
	if bucket != "" && !bucketForm.MatchString(bucket) {
		return "", "", faultf(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	}
	return bucket, key, checkKey(key)
}

// checkKey is a Fault for what no key can be. A key is never a path of a file,
// so that dots and slashes in it mean nothing.
func checkKey(key string) error {
	switch {
	case len(key) > maxKey:
		return faultf(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return invalid("The key is not text in UTF-8.")
	}
	return nil
}
