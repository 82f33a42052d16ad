// Package rule answers the questions of a stage's conditions: a variable that
// is compared, a window that a deployment has to wait for. The engine runs them
// as it runs actions, of the category Rule. It comes before and after the
// stages' actions, and must not know stages, executions or what follows from an
// answer: that is the state machine's.
package rule

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// decode reads a configuration, which CodePipeline defines: a key that is
// unknown here would be a wish that nobody fulfils.
func decode(job pipeline.Job, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(job.Configuration))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read configuration of rule %s: %w", job.Action.Name, err)
	}
	return nil
}
