package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"strconv"
)

// uploadList answers ListMultipartUploads.
type uploadList struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	MaxUploads         int
	IsTruncated        bool
	Upload             []listedUpload
}

type listedUpload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	Initiator    *owner
	Owner        *owner
	StorageClass string
	Initiated    string
}

func (h *Handler) listUploads(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	most, err := q.size("max-uploads")
	if err != nil {
		return err
	}
	out := uploadList{Bucket: q.bucket, KeyMarker: q.query.Get("key-marker"), UploadIDMarker: q.query.Get("upload-id-marker"), Prefix: q.query.Get("prefix"), MaxUploads: most}
	id := out.UploadIDMarker
	if id == "" {
		id = "\xff" // all uploads to the marker's key are before it
	}
	if out.KeyMarker == "" {
		id = ""
	}
	found, err := h.Objects.Uploads(ctx, q.bucket, out.Prefix, out.KeyMarker, id, most+1)
	if err != nil {
		return err
	}
	if out.IsTruncated = len(found) > most; out.IsTruncated {
		found = found[:most]
	}
	for _, u := range found {
		out.Upload = append(out.Upload, listedUpload{
			Key: u.Key, UploadID: u.ID, Initiator: theOwner(), Owner: theOwner(), StorageClass: "STANDARD", Initiated: stamp(u.Started),
		})
		if out.IsTruncated {
			out.NextKeyMarker, out.NextUploadIDMarker = u.Key, u.ID
		}
	}
	answer(q, http.StatusOK, out)
	return nil
}

// partList answers ListParts.
type partList struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  string
	UploadID             string `xml:"UploadId"`
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Part                 []listedPart
	Initiator            *owner
	Owner                *owner
	StorageClass         string
}

type listedPart struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

func (h *Handler) listParts(ctx context.Context, q *request) error {
	u, err := h.upload(ctx, q)
	if err != nil {
		return err
	}
	most, err := q.size("max-parts")
	if err != nil {
		return err
	}
	marker, err := strconv.Atoi(q.query.Get("part-number-marker"))
	if err != nil && q.query.Has("part-number-marker") {
		return invalid("Provided part-number-marker not an integer or within integer range")
	}
	parts, err := h.Objects.Parts(ctx, u.ID)
	if err != nil {
		return err
	}
	out := partList{
		Bucket: u.Bucket, Key: u.Key, UploadID: u.ID, PartNumberMarker: marker, MaxParts: most, Initiator: theOwner(), Owner: theOwner(), StorageClass: "STANDARD",
	}
	for _, p := range parts {
		if p.Number <= marker {
			continue
		}
		if out.IsTruncated = len(out.Part) == most; out.IsTruncated {
			break
		}
		out.NextPartNumberMarker = p.Number
		out.Part = append(out.Part, listedPart{PartNumber: p.Number, LastModified: stamp(p.At), ETag: quoted(p.ETag), Size: p.Chunk.Size})
	}
	answer(q, http.StatusOK, out)
	return nil
}
