package awsapi

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/awsapi/wire"
)

// FuzzDecode holds three promises for whatever a client sends to any operation:
// nothing panics; what the model lets through fits the SDK's struct; and what
// was decoded is the same once it went over the wire again.
func FuzzDecode(f *testing.F) {
	m, err := loadModel()
	if err != nil {
		f.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(m.Operations))
	for i := range names {
		f.Add(i, []byte(`{}`))
	}
	for _, seed := range []struct{ operation, body string }{
		{"StartPipelineExecution", `{"name": "web", "variables": [{"name": "Tag", "value": "v1"}], "clientRequestToken": "a-b", "sourceRevisions": [{"actionName": "push", "revisionType": "COMMIT_ID", "revisionValue": "3f"}]}`},
		{"CreatePipeline", `{"pipeline": ` + string(declaration("web")) + `, "tags": [{"key": "a", "value": ""}]}`},
		{"PutWebhook", `{"webhook": {"name": "w", "targetPipeline": "web", "targetAction": "push", "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}], "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "s"}}}`},
		{"PutJobSuccessResult", `{"jobId": "01234567-89ab-cdef-0123-456789abcdef", "currentRevision": {"revision": "r", "changeIdentifier": "c", "created": 1.5e9}, "executionDetails": {"percentComplete": 50}, "outputVariables": {"a": "b"}}`},
		{"PutJobSuccessResult", `{"jobId": "01234567-89ab-cdef-0123-456789abcdef", "currentRevision": {"revision": "r", "changeIdentifier": "c", "created": 1e300}}`},
		{"ListPipelines", `{"maxResults": 1e1000, "nextToken": null}`},
	} {
		for i, name := range names {
			if name == seed.operation {
				f.Add(i, []byte(seed.body))
			}
		}
	}
	client := reflect.TypeFor[*codepipeline.Client]()
	f.Fuzz(func(t *testing.T, operation int, body []byte) {
		name := names[uint(operation)%uint(len(names))]
		method, ok := client.MethodByName(name)
		if !ok {
			t.Fatalf("the SDK has no %s", name)
		}
		read := func(body []byte) (any, error) {
			request, err := wire.Parse(body)
			if err == nil {
				err = m.Check(m.Operations[name].Input, request)
			}
			var fault *wire.Fault
			if err != nil && !errors.As(err, &fault) {
				t.Fatalf("%s: error %v is no Fault", name, err)
			}
			if err != nil {
				return nil, err
			}
			in := reflect.New(method.Type.In(2).Elem()).Interface()
			if err := wire.Decode(request, in); err != nil {
				t.Fatalf("%s: the model lets through what does not fit: %v", name, err)
			}
			return in, nil
		}
		first, err := read(body)
		if err != nil {
			return
		}
		again, err := wire.Encode(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := read(again)
		if err != nil {
			t.Fatalf("%s: %s is refused the second time: %v", name, again, err)
		}
		if diff := cmp.Diff(first, second, shapes()); diff != "" {
			t.Errorf("%s (-first +second):\n%s", name, diff)
		}
	})
}
