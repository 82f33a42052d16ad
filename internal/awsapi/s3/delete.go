package s3

import (
	"context"
	"encoding/xml"
	"net/http"
)

// deletion is what is to be deleted, and deleted answers it.
type (
	deletion struct {
		XMLName xml.Name      `xml:"Delete"`
		Objects []deletionKey `xml:"Object"`
		Quiet   bool
	}
	deletionKey struct{ Key string }
	deleted     struct {
		XMLName xml.Name      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deletionKey `xml:",omitempty"`
		Error   []deleteError `xml:",omitempty"`
	}
	deleteError struct{ Key, Code, Message string }
)

func (h *Handler) deleteObjects(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	var wanted deletion
	if err := q.document(&wanted); err != nil || len(wanted.Objects) == 0 || len(wanted.Objects) > maxKeys {
		return malformed()
	}
	var out deleted
	for _, o := range wanted.Objects {
		if err := h.remove(ctx, q.bucket, o.Key); err != nil {
			fault, known := faultOf(err)
			if !known {
				h.Logger.Error("delete object", "bucket", q.bucket, "key", o.Key, "error", err)
			}
			out.Error = append(out.Error, deleteError{o.Key, fault.Code, fault.Message})
			continue
		}
		if !wanted.Quiet {
			out.Deleted = append(out.Deleted, o)
		}
	}
	answer(q, http.StatusOK, out)
	return nil
}
