package journal

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/pipeline"
)

// readRecord reads the record of a revision's Secret. Records of before there
// were settings have what was verified by itself.
func readRecord(secret *corev1.Secret) (Record, error) {
	var r struct {
		Record
		Verify pipeline.Verify `json:"verify,omitzero"`
	}
	if err := json.Unmarshal(secret.Data[recordKey], &r); err != nil {
		return Record{}, fmt.Errorf("read secret %s/%s of the journal: %w", secret.Namespace, secret.Name, err)
	}
	if !r.Settings.Verify.Given() {
		r.Settings.Verify = r.Verify
	}
	return r.Record, nil
}
