// Package logs shows the logs of builds to clients of CloudWatch Logs, such as
// `aws logs tail`: its noun is the event, a line of a log at its time. A project
// is a log group, each of its builds a stream. It stands between the wire and
// the files that package report writes. It changes nothing, and of a build it
// knows when it ran and where its log is.
package logs

import (
	"context"
	_ "embed" // for model.json
	"encoding/json"
	"errors"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
)

//go:generate sh -c "python3 ../wire/model.py logs DescribeLogGroups DescribeLogStreams GetLogEvents FilterLogEvents StartLiveTail > model.new && mv model.new model.json"

//go:embed model.json
var modelFile []byte

// Group is a log group.
type Group struct {
	Name    string
	Created time.Time
}

// Stream is one log.
type Stream struct {
	Name    string
	Started time.Time
	Ended   time.Time // zero while it is written
	File    string    // in the form of report.Log; it may not be there
}

// ErrNotFound is a group or a stream that there is not.
var ErrNotFound = errors.New("not found")

// Archive is where the logs are. Calls overlap. The errors wrap ErrNotFound
// when a group or a stream is not there.
type Archive interface {
	// Groups lists all groups by name.
	Groups(ctx context.Context) ([]Group, error)
	// Streams lists streams of a group, those that began last first, that have
	// lines from an instant on: the zero one for all. It may list some that have
	// none.
	Streams(ctx context.Context, group string, since time.Time) ([]Stream, error)
	// Stream returns one stream of a group.
	Stream(ctx context.Context, group, name string) (Stream, error)
}

// Config is what the API needs.
type Config struct {
	Archive Archive
	// Pages makes the tokens of pages.
	Pages wire.Pages
	Now   func() time.Time
}

type service struct {
	Config
	sessions chan struct{} // holds one for each client that follows logs
}

// New makes the API for a wire.Handler.
func New(config Config) (wire.API, error) {
	model, err := wire.ReadModel(modelFile, func(*wire.Model) {})
	if err != nil {
		return wire.API{}, err
	}
	s := &service{Config: config, sessions: make(chan struct{}, mostSessions)}
	operations := map[string]wire.Operation{}
	for name := range model.Operations {
		operations[name] = wire.Lacks(client.Viewer, "the logs of builds are written by builds, and can be read with DescribeLogGroups, DescribeLogStreams, GetLogEvents, FilterLogEvents and StartLiveTail.")
	}
	operations["DescribeLogGroups"] = does(s.describeGroups)
	operations["DescribeLogStreams"] = does(s.describeStreams)
	operations["GetLogEvents"] = does(s.getEvents)
	operations["FilterLogEvents"] = does(s.filterEvents)
	operations["StartLiveTail"] = wire.Operation{Needs: client.Viewer, Stream: func(ctx context.Context, c wire.Call, request map[string]any) (wire.Stream, error) {
		var in tailInput
		if err := read(request, &in); err != nil {
			return nil, err
		}
		return s.startLiveTail(ctx, c, in)
	}}
	return wire.API{Name: "logs", Target: "Logs_20140328", Version: "2014-03-28", Model: model, Operations: operations}, nil
}

// does makes a row of a method whose request is an In, by its JSON tags. All of
// them read.
func does[In, Out any](method func(ctx context.Context, c wire.Call, in In) (*Out, error)) wire.Operation {
	return wire.Operation{Needs: client.Viewer, Run: func(ctx context.Context, c wire.Call, request map[string]any) (any, error) {
		var in In
		if err := read(request, &in); err != nil {
			return nil, err
		}
		out, err := method(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}}
}

// read takes a request by the JSON tags of its type.
func read(request map[string]any, into any) error {
	text, err := json.Marshal(request)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return wire.Faultf("SerializationException", "A value of the request does not fit its member.")
	}
	return nil
}

// missing says in AWS's words what is not there, and leaves other errors as
// they are.
func missing(what string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return wire.Faultf("ResourceNotFoundException", "The specified %s does not exist.", what)
	}
	return err
}

func invalid(format string, args ...any) error {
	return wire.Faultf("InvalidParameterException", format, args...)
}

// millis is an instant as this API writes it: milliseconds since 1970.
func millis(t time.Time) int64 { return t.UnixMilli() }
