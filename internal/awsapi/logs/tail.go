package logs

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
)

const (
	// mostSessions is how many clients follow logs at once.
	mostSessions = 32
	// longestSession and mostTailed are AWS's: how long a session lasts, and how
	// many events it is told at once.
	longestSession = 3 * time.Hour
	mostTailed     = 500
	// tellEvery is how often a session is told what is new.
	tellEvery = time.Second
)

type tailInput struct {
	Groups   []string `json:"logGroupIdentifiers"`
	Names    []string `json:"logStreamNames"`
	Prefixes []string `json:"logStreamNamePrefixes"`
	Pattern  string   `json:"logEventFilterPattern"`
}

type sessionStart struct {
	RequestId             string
	SessionId             string
	LogGroupIdentifiers   []string
	LogStreamNames        []string
	LogStreamNamePrefixes []string
	LogEventFilterPattern string
}

type sessionUpdate struct {
	SessionMetadata sessionMetadata
	SessionResults  []tailedEvent
}

type sessionMetadata struct{ Sampled bool }

type tailedEvent struct {
	LogStreamName      string
	LogGroupIdentifier string
	Message            string
	Timestamp          int64
	IngestionTime      int64
}

// session is a client that follows logs.
type session struct {
	*service
	in      tailInput
	groups  []string // by name
	pattern pattern
	begun   time.Time
	offsets map[string]int64 // by group and stream: what was told so far, in bytes
}

// startLiveTail follows the logs of groups from now on.
func (s *service) startLiveTail(ctx context.Context, c wire.Call, in tailInput) (wire.Stream, error) {
	if len(in.Names) > 0 && len(in.Prefixes) > 0 {
		return nil, invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	}
	if len(in.Groups) > 1 && len(in.Names)+len(in.Prefixes) > 0 {
		return nil, invalid("logStreamNames and logStreamNamePrefixes can be given for one log group alone.")
	}
	terms, err := parsePattern(in.Pattern)
	if err != nil {
		return nil, err
	}
	one := &session{service: s, in: in, pattern: terms, begun: s.Now(), offsets: map[string]int64{}}
	for _, identifier := range in.Groups {
		if !strings.HasPrefix(identifier, c.ARN("log-group:")) {
			return nil, invalid("%s is not the ARN of a log group: it begins with %s.", identifier, c.ARN("log-group:"))
		}
		group, err := groupOf("", identifier)
		if err != nil {
			return nil, err
		}
		one.groups = append(one.groups, group)
	}
	// What is there already is not told; that the groups are there is found out.
	if _, _, err := one.new(ctx, true); err != nil {
		return nil, err
	}
	return func(ctx context.Context, send wire.Send) error {
		select {
		case s.sessions <- struct{}{}:
			defer func() { <-s.sessions }()
			return one.run(ctx, send)
		default:
			return wire.Faultf("LimitExceededException", "%d clients follow logs already: end one of them.", mostSessions)
		}
	}, nil
}

// run tells what is new, until the session is over.
func (l *session) run(ctx context.Context, send wire.Send) error {
	id := rand.Text()
	err := send("sessionStart", sessionStart{
		RequestId: id, SessionId: id, LogGroupIdentifiers: l.in.Groups, LogStreamNames: l.in.Names, LogStreamNamePrefixes: l.in.Prefixes, LogEventFilterPattern: l.in.Pattern,
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // the client has gone
		case <-tick.C:
		}
		if l.Now().Sub(l.begun) > longestSession {
			return wire.Faultf("SessionTimeoutException", "The session has lasted %s: start another one.", longestSession)
		}
		events, sampled, err := l.new(ctx, false)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := send("sessionUpdate", sessionUpdate{sessionMetadata{sampled}, events}); err != nil {
			return err
		}
	}
}

// new are the events since the last call, in the order of their times. Sampled
// says that there were more than a client is told. At first it only notes where
// the streams end.
func (l *session) new(ctx context.Context, first bool) (events []tailedEvent, sampled bool, err error) {
	events = []tailedEvent{}
	for _, group := range l.groups {
		all, err := l.Archive.Streams(ctx, group, l.begun)
		if err != nil {
			return nil, false, missing("log group", err)
		}
		for _, stream := range all {
			key := group + " " + stream.Name
			if first {
				if l.offsets[key], err = stream.size(); err != nil {
					return nil, false, err
				}
				continue
			}
			if !l.chosen(stream.Name) {
				continue
			}
			var more bool
			if events, more, err = l.read(ctx, group, stream, events); err != nil {
				return nil, false, err
			}
			sampled = sampled || more
		}
	}
	slices.SortStableFunc(events, func(a, b tailedEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	if more := len(events) - mostTailed; more > 0 {
		events, sampled = events[more:], true
	}
	return events, sampled, nil
}

// read appends what has come to a stream since it was read last. Sampled says
// that the first of the events were left out.
func (l *session) read(ctx context.Context, group string, from Stream, events []tailedEvent) (all []tailedEvent, sampled bool, err error) {
	key := group + " " + from.Name
	err = from.each(ctx, l.offsets[key], func(one line) error {
		l.offsets[key] = one.next
		if l.pattern.matches(one.text) {
			at := millis(one.at)
			events = append(events, tailedEvent{from.Name, group, one.text, at, at})
		}
		if len(events) > 2*mostTailed {
			events, sampled = slices.Clone(events[mostTailed:]), true
		}
		return nil
	})
	return events, sampled, err
}

// chosen tells whether a stream is one of those that the client asked for.
func (l *session) chosen(name string) bool {
	if len(l.in.Names) > 0 {
		return slices.Contains(l.in.Names, name)
	}
	return len(l.in.Prefixes) == 0 || slices.ContainsFunc(l.in.Prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
