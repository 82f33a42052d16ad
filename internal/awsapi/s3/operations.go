package s3

import (
	"context"
	"net/http"

	"github.com/towline/towline/internal/client"
)

// kind is what an operation is about.
type kind int

const (
	allBuckets kind = iota
	aBucket
	anObject
)

// operation is one row of the table.
type operation struct {
	name  string
	of    kind
	needs client.Role
	run   func(ctx context.Context, q *request) error
}

// route is how a request says which operation it is: the method, what it is
// about, and a parameter of the query or a header that must be there.
type route struct {
	method string
	of     kind
	query  string
	header string
}

// table has all operations. Of a request's routes the first one is taken, so
// that those with a parameter come before those without.
func (h *Handler) table() []struct {
	route
	operation
} {
	const (
		reads   = client.Viewer
		writes  = client.Operator
		changes = client.Admin
	)
	type row = struct {
		route
		operation
	}
	of := func(r route, name string, needs client.Role, run func(ctx context.Context, q *request) error) row {
		return row{r, operation{name, r.of, needs, run}}
	}
	return []row{
		of(route{method: "GET", of: allBuckets}, "ListBuckets", reads, h.listBuckets),

		of(route{method: "GET", of: aBucket, query: "location"}, "GetBucketLocation", reads, h.location),
		of(route{method: "GET", of: aBucket, query: "versioning"}, "GetBucketVersioning", reads, h.versioning),
		of(route{method: "GET", of: aBucket, query: "uploads"}, "ListMultipartUploads", reads, h.listUploads),
		of(route{method: "GET", of: aBucket, query: "list-type"}, "ListObjectsV2", reads, h.listObjectsV2),
		of(route{method: "GET", of: aBucket}, "ListObjects", reads, h.listObjects),
		of(route{method: "HEAD", of: aBucket}, "HeadBucket", reads, h.headBucket),
		of(route{method: "PUT", of: aBucket}, "CreateBucket", changes, h.createBucket),
		of(route{method: "DELETE", of: aBucket}, "DeleteBucket", changes, h.deleteBucket),
		of(route{method: "POST", of: aBucket, query: "delete"}, "DeleteObjects", writes, h.deleteObjects),

		of(route{method: "GET", of: anObject, query: "uploadId"}, "ListParts", writes, h.listParts),
		of(route{method: "GET", of: anObject, query: "tagging"}, "GetObjectTagging", reads, h.tagging),
		of(route{method: "GET", of: anObject}, "GetObject", reads, h.getObject),
		of(route{method: "HEAD", of: anObject}, "HeadObject", reads, h.getObject),
		of(route{method: "PUT", of: anObject, query: "partNumber", header: "X-Amz-Copy-Source"}, "UploadPartCopy", writes, h.copyPart),
		of(route{method: "PUT", of: anObject, query: "partNumber"}, "UploadPart", writes, h.putPart),
		of(route{method: "PUT", of: anObject, header: "X-Amz-Copy-Source"}, "CopyObject", writes, h.copyObject),
		of(route{method: "PUT", of: anObject}, "PutObject", writes, h.putObject),
		of(route{method: "POST", of: anObject, query: "uploads"}, "CreateMultipartUpload", writes, h.createUpload),
		of(route{method: "POST", of: anObject, query: "uploadId"}, "CompleteMultipartUpload", writes, h.completeUpload),
		of(route{method: "DELETE", of: anObject, query: "uploadId"}, "AbortMultipartUpload", writes, h.abortUpload),
		of(route{method: "DELETE", of: anObject}, "DeleteObject", writes, h.deleteObject),
	}
}

// absent are parameters of operations that Towline does not have. Without this
// a request for an ACL would be one for the object.
var absent = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "logging",
	"metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication",
	"requestPayment", "restore", "retention", "select", "session", "torrent", "versions", "website",
}

// operation finds what a request asks for.
func (h *Handler) operation(q *request) (operation, error) {
	of := anObject
	switch {
	case q.bucket == "":
		of = allBuckets
	case q.key == "":
		of = aBucket
	}
	for _, name := range absent {
		if q.query.Has(name) {
			return operation{}, notThere(name)
		}
	}
	if q.query.Has("tagging") && (of != anObject || q.r.Method != http.MethodGet) {
		return operation{}, notThere("tags")
	}
	if version := q.query.Get("versionId"); version != "" && version != "null" {
		return operation{}, faultf(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist: Towline keeps the newest one alone.")
	}
	for _, row := range h.table() {
		r := row.route
		if r.method == q.r.Method && r.of == of && (r.query == "" || q.query.Has(r.query)) && (r.header == "" || q.asked(r.header) != "") {
			return row.operation, nil
		}
	}
	return operation{}, faultf(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
}
