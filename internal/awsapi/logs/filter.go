package logs

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
)

const (
	// mostScanned is how much of the logs one call reads, in bytes. When that is
	// not all, the answer has a token, and perhaps no events.
	mostScanned = 64 << 20
	// settles is how long the last lines of a log that is being written are not
	// told: one of another log may come that is older, which a client that goes
	// on from the newest time would not see.
	settles = 100 * time.Millisecond
)

type filterInput struct {
	Group      string   `json:"logGroupName"`
	Identifier string   `json:"logGroupIdentifier"`
	Names      []string `json:"logStreamNames"`
	Prefix     string   `json:"logStreamNamePrefix"`
	Start      *int64   `json:"startTime"`
	End        *int64   `json:"endTime"`
	Pattern    string   `json:"filterPattern"`
	Token      *string  `json:"nextToken"`
	Limit      *int     `json:"limit"`
}

type filteredEvent struct {
	LogStreamName string
	Timestamp     int64
	Message       string
	IngestionTime int64
	EventId       string
}

type searched struct {
	LogStreamName      string
	SearchedCompletely bool
}

type filterOutput struct {
	Events             []filteredEvent
	SearchedLogStreams []searched
	NextToken          string
}

// scan is one call of FilterLogEvents on its way.
type scan struct {
	window
	pattern  pattern
	limit    int
	snapshot time.Time // what is newer is told by a later call
	out      *filterOutput
	bytes    int64 // read so far
	size     int   // of the events, by AWS's count
}

// filterEvents searches the streams of a group, one after the other, the oldest
// first, and tells the events of a page in the order of their times.
func (s *service) filterEvents(ctx context.Context, _ wire.Call, in filterInput) (*filterOutput, error) {
	group, err := groupOf(in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	if len(in.Names) > 0 && in.Prefix != "" {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	terms, err := parsePattern(in.Pattern)
	if err != nil {
		return nil, err
	}
	list := wire.List("FilterLogEvents", group, strings.Join(in.Names, ","), in.Prefix, in.Pattern, number(in.Start), number(in.End))
	place, err := s.place(list, in.Token)
	if err != nil {
		return nil, err
	}
	from := cursor{snapshot: s.Now().Add(-settles)}
	if place != "" {
		if from, err = parseCursor(place); err != nil {
			return nil, err
		}
	}
	w := windowOf(in.Start, in.End)
	all, err := s.Archive.Streams(ctx, group, w.from)
	if err != nil {
		return nil, missing("log group", err)
	}
	c := &scan{window: w, pattern: terms, limit: mostEvents, snapshot: from.snapshot, out: &filterOutput{Events: []filteredEvent{}, SearchedLogStreams: []searched{}}}
	if in.Limit != nil {
		c.limit = min(max(*in.Limit, 1), mostEvents)
	}
	next, more, err := c.streams(ctx, in.chosen(all), from)
	if err != nil {
		return nil, err
	}
	if more {
		c.out.NextToken = s.Pages.Next(list, next.String())
	}
	slices.SortStableFunc(c.out.Events, func(a, b filteredEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return c.out, nil
}

func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// chosen are the streams that a request is about, the oldest first.
func (in filterInput) chosen(all []Stream) []Stream {
	all = slices.DeleteFunc(all, func(l Stream) bool {
		return len(in.Names) > 0 && !slices.Contains(in.Names, l.Name) || !strings.HasPrefix(l.Name, in.Prefix)
	})
	slices.SortFunc(all, byAge)
	return all
}

func byAge(a, b Stream) int {
	return cmp.Or(cmp.Compare(millis(a.Started), millis(b.Started)), cmp.Compare(a.Name, b.Name))
}

// streams searches the streams from a place on. There is more when the page is
// full before the last one's end.
func (c *scan) streams(ctx context.Context, all []Stream, from cursor) (next cursor, more bool, err error) {
	for _, l := range all {
		var begin int64
		switch place := byAge(l, from.stream); {
		case from.stream.Name != "" && place < 0:
			continue
		case from.stream.Name != "" && place == 0:
			begin = from.offset
		default:
			if begin, err = l.seek(ctx, c.from); err != nil {
				return next, false, err
			}
		}
		end, done, err := c.search(ctx, l, begin)
		if err != nil {
			return next, false, err
		}
		c.out.SearchedLogStreams = append(c.out.SearchedLogStreams, searched{l.Name, done})
		if !done {
			return cursor{snapshot: c.snapshot, stream: l, offset: end}, true, nil
		}
	}
	return next, false, nil
}

// search takes the events of one stream from an offset on, until the page is
// full.
func (c *scan) search(ctx context.Context, l Stream, offset int64) (end int64, done bool, err error) {
	end, done = offset, true
	err = l.each(ctx, offset, func(one line) error {
		if c.past(one.at) || l.Ended.IsZero() && one.at.After(c.snapshot) {
			return errEnough
		}
		if len(c.out.Events) >= c.limit || c.size > largestPage || c.bytes > mostScanned {
			done = false
			return errEnough
		}
		end = one.next
		c.bytes += one.next - one.begin
		if !one.at.Before(c.from) && c.pattern.matches(one.text) {
			c.size += len(one.text) + sizeOfEvent
			at := millis(one.at)
			c.out.Events = append(c.out.Events, filteredEvent{LogStreamName: l.Name, Timestamp: at, Message: one.text, IngestionTime: at, EventId: eventID(l, one)})
		}
		return nil
	})
	return end, done, err
}

// eventID is the same each time that a line is told, and another one for each
// line: 56 digits, as AWS's.
func eventID(l Stream, one line) string {
	sum := fnv.New64a()
	_, _ = fmt.Fprintf(sum, "%s %d", l.Name, one.begin)
	return fmt.Sprintf("%018d%020d%018d", millis(one.at), sum.Sum64(), one.begin)
}

// cursor is where a search goes on.
type cursor struct {
	snapshot time.Time
	stream   Stream // its name and when it began
	offset   int64
}

func (c cursor) String() string {
	return fmt.Sprintf("%d %d %d %s", millis(c.snapshot), millis(c.stream.Started), c.offset, c.stream.Name)
}

// parseCursor reads what String wrote: tokens are sealed.
func parseCursor(text string) (c cursor, err error) {
	var snapshot, started int64
	if _, err := fmt.Sscanf(text, "%d %d %d %s", &snapshot, &started, &c.offset, &c.stream.Name); err != nil {
		return c, fmt.Errorf("read token: %w", err)
	}
	c.snapshot, c.stream.Started = time.UnixMilli(snapshot), time.UnixMilli(started)
	return c, nil
}
