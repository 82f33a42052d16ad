package logs

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
)

// The limits of a page of events: their number, and their size in bytes, by
// AWS's count.
const (
	mostEvents   = 10_000
	largestPage  = 1 << 20
	sizeOfEvent  = 26 // of one without its text
	longestTerms = 1024
)

type eventsInput struct {
	Group      string  `json:"logGroupName"`
	Identifier string  `json:"logGroupIdentifier"`
	Stream     string  `json:"logStreamName"`
	Start      *int64  `json:"startTime"`
	End        *int64  `json:"endTime"`
	Token      *string `json:"nextToken"`
	Limit      *int    `json:"limit"`
	FromHead   bool    `json:"startFromHead"`
}

type event struct {
	Timestamp     int64
	Message       string
	IngestionTime int64
}

type eventsOutput struct {
	Events            []event
	NextForwardToken  string
	NextBackwardToken string
}

// window is the time that events are wanted of.
type window struct {
	from time.Time
	to   time.Time // zero for no end
}

func windowOf(start, end *int64) window {
	var w window
	if start != nil {
		w.from = time.UnixMilli(*start)
	}
	if end != nil {
		w.to = time.UnixMilli(*end)
	}
	return w
}

func (w window) past(at time.Time) bool { return !w.to.IsZero() && !at.Before(w.to) }

// eventToken is where a page of one stream begins, or with b where it ends.
var eventToken = regexp.MustCompile(`^([fb])/([0-9]{1,19})$`)

func forward(offset int64) string  { return fmt.Sprintf("f/%019d", offset) }
func backward(offset int64) string { return fmt.Sprintf("b/%019d", offset) }

// getEvents reads one stream, forward or backward. At an end the token of that
// direction stays as it was, by which clients know it.
func (s *service) getEvents(ctx context.Context, _ wire.Call, in eventsInput) (*eventsOutput, error) {
	group, err := groupOf(in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	l, err := s.Archive.Stream(ctx, group, in.Stream)
	if err != nil {
		return nil, missing("log stream", err)
	}
	limit := mostEvents
	if in.Limit != nil {
		limit = min(max(*in.Limit, 1), mostEvents)
	}
	w := windowOf(in.Start, in.End)
	if in.Token != nil && *in.Token != "" {
		parts := eventToken.FindStringSubmatch(*in.Token)
		if parts == nil {
			return nil, invalid("The specified nextToken is invalid.")
		}
		offset, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			return nil, invalid("The specified nextToken is invalid.")
		}
		if parts[1] == "b" {
			return l.before(ctx, offset, limit, w)
		}
		return l.from(ctx, offset, limit, w)
	}
	if in.FromHead {
		begin, err := l.seek(ctx, w.from)
		if err != nil {
			return nil, err
		}
		return l.from(ctx, begin, limit, w)
	}
	end, err := l.size()
	if err == nil && !w.to.IsZero() {
		end, err = l.seek(ctx, w.to)
	}
	if err != nil {
		return nil, err
	}
	return l.before(ctx, end, limit, w)
}

// from are the events from an offset on.
func (l Stream) from(ctx context.Context, offset int64, limit int, w window) (*eventsOutput, error) {
	out, size := &eventsOutput{Events: []event{}}, 0
	end := offset
	err := l.each(ctx, offset, func(one line) error {
		if size += len(one.text) + sizeOfEvent; len(out.Events) >= limit || len(out.Events) > 0 && size > largestPage || w.past(one.at) {
			return errEnough
		}
		end = one.next
		if !one.at.Before(w.from) {
			out.Events = append(out.Events, event{millis(one.at), one.text, millis(one.at)})
		}
		return nil
	})
	out.NextForwardToken, out.NextBackwardToken = forward(end), backward(offset)
	return out, err
}

// before are the last events in front of an offset.
func (l Stream) before(ctx context.Context, offset int64, limit int, w window) (*eventsOutput, error) {
	begin, err := l.beginning(offset - largestPage)
	if err != nil {
		return nil, err
	}
	var lines []line
	size := 0
	err = l.each(ctx, begin, func(one line) error {
		if one.begin >= offset || w.past(one.at) {
			return errEnough
		}
		if one.at.Before(w.from) {
			return nil
		}
		lines = append(lines, one)
		size += len(one.text) + sizeOfEvent
		for len(lines) > limit || len(lines) > 1 && size > largestPage {
			size -= len(lines[0].text) + sizeOfEvent
			lines = lines[1:]
		}
		return nil
	})
	out := &eventsOutput{Events: []event{}, NextForwardToken: forward(offset), NextBackwardToken: backward(offset)}
	for _, one := range lines {
		out.Events = append(out.Events, event{millis(one.at), one.text, millis(one.at)})
	}
	if len(lines) > 0 {
		out.NextBackwardToken = backward(lines[0].begin)
		out.NextForwardToken = forward(lines[len(lines)-1].next)
	}
	return out, err
}
