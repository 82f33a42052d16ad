package logs

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
)

// mostDescribed is how many groups or streams a page has at most, by AWS's rule.
const mostDescribed = 50

func pageOf(limit *int) int {
	if limit == nil || *limit < 1 {
		return mostDescribed
	}
	return min(*limit, mostDescribed)
}

// place reads the token of a next page.
func (s *service) place(list string, token *string) (string, error) {
	place, err := s.Pages.Place(list, token)
	if _, ok := errors.AsType[*wire.Fault](err); ok {
		return "", invalid("The specified nextToken is invalid.")
	}
	return place, err
}

type groupsInput struct {
	Prefix  string  `json:"logGroupNamePrefix"`
	Pattern string  `json:"logGroupNamePattern"`
	Token   *string `json:"nextToken"`
	Limit   *int    `json:"limit"`
}

type logGroup struct {
	LogGroupName  string
	Arn           string
	LogGroupArn   string
	CreationTime  int64
	LogGroupClass string
}

type groupsOutput struct {
	LogGroups []logGroup
	NextToken string
}

func (s *service) describeGroups(ctx context.Context, c wire.Call, in groupsInput) (*groupsOutput, error) {
	if in.Prefix != "" && in.Pattern != "" {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	list := wire.List("DescribeLogGroups", in.Prefix, in.Pattern)
	after, err := s.place(list, in.Token)
	if err != nil {
		return nil, err
	}
	all, err := s.Archive.Groups(ctx)
	if err != nil {
		return nil, err
	}
	out := &groupsOutput{LogGroups: []logGroup{}}
	for _, g := range all {
		if g.Name <= after || !strings.HasPrefix(g.Name, in.Prefix) || !strings.Contains(strings.ToLower(g.Name), strings.ToLower(in.Pattern)) {
			continue
		}
		if len(out.LogGroups) == pageOf(in.Limit) {
			out.NextToken = s.Pages.Next(list, out.LogGroups[len(out.LogGroups)-1].LogGroupName)
			break
		}
		arn := c.ARN("log-group:" + g.Name)
		out.LogGroups = append(out.LogGroups, logGroup{LogGroupName: g.Name, Arn: arn + ":*", LogGroupArn: arn, CreationTime: millis(g.Created), LogGroupClass: "STANDARD"})
	}
	return out, nil
}

// groupOf is the name of the group that a request names by its name or ARN.
func groupOf(name, identifier string) (string, error) {
	switch {
	case name != "" && identifier != "", name == "" && identifier == "":
		return "", invalid("Name either logGroupName or logGroupIdentifier.")
	case name != "":
		return name, nil
	}
	if _, named, ok := strings.Cut(identifier, ":log-group:"); ok {
		return strings.TrimSuffix(named, ":*"), nil
	}
	return identifier, nil
}

type streamsInput struct {
	Group      string  `json:"logGroupName"`
	Identifier string  `json:"logGroupIdentifier"`
	Prefix     string  `json:"logStreamNamePrefix"`
	OrderBy    string  `json:"orderBy"`
	Descending bool    `json:"descending"`
	Token      *string `json:"nextToken"`
	Limit      *int    `json:"limit"`
}

type logStream struct {
	LogStreamName       string
	CreationTime        int64
	FirstEventTimestamp int64
	LastEventTimestamp  int64
	LastIngestionTime   int64
	StoredBytes         int64
	Arn                 string
}

type streamsOutput struct {
	LogStreams []logStream
	NextToken  string
}

func (s *service) describeStreams(ctx context.Context, c wire.Call, in streamsInput) (*streamsOutput, error) {
	group, err := groupOf(in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == "LastEventTime"
	if byTime && in.Prefix != "" {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	list := wire.List("DescribeLogStreams", group, in.Prefix, in.OrderBy, map[bool]string{true: "down"}[in.Descending])
	after, err := s.place(list, in.Token)
	if err != nil {
		return nil, err
	}
	all, err := s.Archive.Streams(ctx, group, time.Time{})
	if err != nil {
		return nil, missing("log group", err)
	}
	key := func(l Stream) string {
		if byTime {
			return l.Started.UTC().Format(sortable) + " " + l.Name
		}
		return l.Name
	}
	sign := 1
	if in.Descending {
		sign = -1
	}
	slices.SortFunc(all, func(a, b Stream) int { return sign * cmp.Compare(key(a), key(b)) })
	out, last := &streamsOutput{LogStreams: []logStream{}}, ""
	for _, l := range all {
		if after != "" && sign*cmp.Compare(key(l), after) <= 0 || !strings.HasPrefix(l.Name, in.Prefix) {
			continue
		}
		if len(out.LogStreams) == pageOf(in.Limit) {
			out.NextToken = s.Pages.Next(list, last)
			break
		}
		out.LogStreams, last = append(out.LogStreams, described(c, group, l)), key(l)
	}
	return out, nil
}

// sortable writes times of one length, so that they compare as text.
const sortable = "2006-01-02T15:04:05.000000Z"

func described(c wire.Call, group string, l Stream) logStream {
	d := logStream{
		LogStreamName: l.Name, CreationTime: millis(l.Started), FirstEventTimestamp: millis(l.Started),
		Arn: c.ARN("log-group:" + group + ":log-stream:" + l.Name),
	}
	last := l.Ended
	if info, err := os.Stat(l.File); err == nil {
		d.StoredBytes = info.Size()
		last = info.ModTime()
	}
	if !last.IsZero() {
		d.LastEventTimestamp, d.LastIngestionTime = millis(last), millis(last)
	}
	return d
}
