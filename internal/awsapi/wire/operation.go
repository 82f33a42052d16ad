package wire

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
)

// API is one of AWS's services in JSON 1.1.
type API struct {
	Name       string // in signatures and ARNs, such as codepipeline
	Target     string // in X-Amz-Target before the dot, such as CodePipeline_20150709
	Version    string // such as 2015-07-09
	Model      *Model
	Operations map[string]Operation
}

// Call is one request that has been let in.
type Call struct {
	Key       access.Key
	Service   string
	Region    string
	Account   string
	Operation string
}

// ARN is the name of a resource of this server, such as a pipeline's.
func (c Call) ARN(resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", c.Service, c.Region, c.Account, resource)
}

// Who is who asks, as people read it.
func (c Call) Who() string {
	if c.Key.Note == "" {
		return c.Key.ID
	}
	return c.Key.ID + " (" + c.Key.Note + ")"
}

// User is the name of who asks.
func (c Call) User() string { return fmt.Sprintf("arn:aws:iam::%s:user/%s", c.Account, c.Key.ID) }

// Operation is one row of an API's table: which role it needs, and what carries
// it out, or why nothing does.
type Operation struct {
	Needs client.Role
	// Sessions says that the holder of a session may ask as well. What carries
	// the operation out looks at the scope of Call.Key then.
	Sessions bool
	Run      func(ctx context.Context, c Call, request map[string]any) (any, error)
	// Stream is there in place of Run for an operation whose answer is a stream of
	// events. What it refuses is answered as by Run.
	Stream func(ctx context.Context, c Call, request map[string]any) (Stream, error)
	Why    string
}

// Does makes a row of a method whose request is an In.
func Does[In, Out any](needs client.Role, method func(ctx context.Context, c Call, in *In) (*Out, error)) Operation {
	return Operation{Needs: needs, Run: func(ctx context.Context, c Call, request map[string]any) (any, error) {
		in := new(In)
		if err := Decode(request, in); err != nil {
			return nil, err
		}
		out, err := method(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}}
}

// Lacks makes a row of what Towline does not have, which says why.
func Lacks(needs client.Role, why string) Operation { return Operation{Needs: needs, Why: why} }

// mayAsk is a Fault for who may not ask for the operation.
func (c Call) mayAsk(op Operation) error {
	why := fmt.Sprintf("the access key's role is %s and this needs %s", c.Key.Role, op.Needs)
	switch {
	case c.Key.Session == nil && c.Key.Role.Allows(op.Needs), c.Key.Session != nil && op.Sessions:
		return nil
	case c.Key.Session != nil:
		why = "the session is for a job and its artifacts alone"
	}
	return Faultf("AccessDeniedException", "User: %s is not authorized to perform: %s:%s because %s", c.User(), c.Service, c.Operation, why)
}
