package function

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// jobEvent is what CodePipeline gives to a function that an action or a rule
// invokes.
type jobEvent struct {
	Job jobMember `json:"CodePipeline.job"`
}

type jobMember struct {
	ID        string  `json:"id"`
	AccountID string  `json:"accountId"`
	Data      jobData `json:"data"`
}

type jobData struct {
	ActionConfiguration struct {
		Configuration map[string]string `json:"configuration"`
	} `json:"actionConfiguration"`
	InputArtifacts      []jobArtifact `json:"inputArtifacts"`
	OutputArtifacts     []jobArtifact `json:"outputArtifacts"`
	ArtifactCredentials Credentials   `json:"artifactCredentials"`
	ContinuationToken   string        `json:"continuationToken,omitempty"`
	// There is no encryptionKey: what is at rest here, KMS does not know.
}

type jobArtifact struct {
	Name     string      `json:"name"`
	Revision *string     `json:"revision"`
	Location jobLocation `json:"location"`
}

type jobLocation struct {
	Type string   `json:"type"`
	S3   Location `json:"s3Location"`
}

// Location is an object of S3.
type Location struct {
	Bucket string `json:"bucketName"`
	Key    string `json:"objectKey"`
}

// newEvent is the event of a job, as it is now.
func newEvent(id, account string, job pipeline.Job, given Granted, continuation string) (json.RawMessage, error) {
	configuration := map[string]string{}
	if err := json.Unmarshal(job.Configuration, &configuration); err != nil {
		return nil, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	event := jobEvent{Job: jobMember{ID: id, AccountID: account, Data: jobData{
		InputArtifacts: []jobArtifact{}, OutputArtifacts: []jobArtifact{}, ArtifactCredentials: given.Credentials, ContinuationToken: continuation,
	}}}
	event.Job.Data.ActionConfiguration.Configuration = configuration
	for _, input := range job.Inputs {
		artifact := jobArtifact{Name: input.Name, Location: jobLocation{Type: "S3", S3: given.Places[input.Name]}}
		if job.Revision.Commit != "" {
			artifact.Revision = &job.Revision.Commit
		}
		event.Job.Data.InputArtifacts = append(event.Job.Data.InputArtifacts, artifact)
	}
	for _, name := range job.Action.Outputs {
		event.Job.Data.OutputArtifacts = append(event.Job.Data.OutputArtifacts, jobArtifact{Name: name, Location: jobLocation{Type: "S3", S3: given.Places[name]}})
	}
	return json.Marshal(event)
}
