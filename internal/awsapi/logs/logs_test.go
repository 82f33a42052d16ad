package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/report"
)

var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// shelf is an archive of one group.
type shelf []Stream

func (s shelf) Groups(context.Context) ([]Group, error) {
	return []Group{{Name: "/aws/codebuild/shop", Created: monday}, {Name: "/aws/codebuild/web", Created: monday}}, nil
}

func (s shelf) Streams(_ context.Context, group string, _ time.Time) ([]Stream, error) {
	if group != "/aws/codebuild/web" {
		return nil, ErrNotFound
	}
	return slices.Clone(s), nil
}

func (s shelf) Stream(_ context.Context, _, name string) (Stream, error) {
	for _, l := range s {
		if l.Name == name {
			return l, nil
		}
	}
	return Stream{}, ErrNotFound
}

// written is a log with a line each second, and what is not whole at its end.
func written(t *testing.T, name string, begins time.Time, lines int, rest string) Stream {
	t.Helper()
	var text strings.Builder
	for i := range lines {
		text.WriteString(report.Stamp(begins.Add(time.Duration(i)*time.Second), fmt.Sprintf("%s %d", name, i)))
	}
	file := filepath.Join(t.TempDir(), name+".log")
	if err := os.WriteFile(file, []byte(text.String()+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	return Stream{Name: name, Started: begins, Ended: begins.Add(time.Duration(lines) * time.Second), File: file}
}

func serviceOf(streams ...Stream) *service {
	return &service{Config: Config{Archive: shelf(streams), Pages: []byte(strings.Repeat("k", 32)), Now: func() time.Time { return monday.Add(time.Hour) }}}
}

func codeOf(err error) string {
	if fault, ok := errors.AsType[*wire.Fault](err); ok {
		return fault.Code
	}
	return fmt.Sprint(err)
}

func texts(events []event) (all []string) {
	for _, e := range events {
		all = append(all, e.Message)
	}
	return all
}

func TestAStreamIsReadForwardAndBackward(t *testing.T) {
	t.Parallel()
	s := serviceOf(written(t, "a", monday, 5, ""))
	in := eventsInput{Group: "/aws/codebuild/web", Stream: "a", Limit: new(2)}
	read := func(in eventsInput) *eventsOutput {
		t.Helper()
		out, err := s.getEvents(t.Context(), wire.Call{}, in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	is := func(what string, out *eventsOutput, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, texts(out.Events)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	out := read(in)
	is("the end", out, "a 3", "a 4")
	in.Token = &out.NextBackwardToken
	out = read(in)
	is("what is before it", out, "a 1", "a 2")
	in.Token = &out.NextForwardToken
	out = read(in)
	is("and forward again", out, "a 3", "a 4")
	in.Token = &out.NextForwardToken
	at := read(in)
	is("behind the end", at)
	if at.NextForwardToken != *in.Token {
		t.Errorf("the token at the end changed from %s to %s", *in.Token, at.NextForwardToken)
	}
	in.Token, in.FromHead = nil, true
	is("the beginning", read(in), "a 0", "a 1")
	in.Start, in.End = new(monday.Add(2*time.Second).UnixMilli()), new(monday.Add(3*time.Second).UnixMilli())
	is("a second", read(in), "a 2")
	in.FromHead = false
	is("a second from its end", read(in), "a 2")
	for _, token := range []string{"x", "f/", "f/-1", "f/99999999999999999999"} {
		in.Token = &token
		if _, err := s.getEvents(t.Context(), wire.Call{}, in); codeOf(err) != "InvalidParameterException" {
			t.Errorf("token %q: %v", token, err)
		}
	}
	if _, err := s.getEvents(t.Context(), wire.Call{}, eventsInput{Group: "/aws/codebuild/web", Stream: "b"}); codeOf(err) != "ResourceNotFoundException" {
		t.Errorf("a stream that is not there: %v", err)
	}
}

func TestALineThatHasOnlyBegunIsToldLater(t *testing.T) {
	t.Parallel()
	half := report.Stamp(monday.Add(9*time.Second), "half a line")
	l := written(t, "a", monday, 2, half[:len(half)-5])
	in := eventsInput{Group: "/aws/codebuild/web", Stream: "a", FromHead: true}
	for name, c := range map[string]struct {
		ended time.Time
		want  []string
	}{
		"while it is written": {time.Time{}, []string{"a 0", "a 1"}},
		"when it has ended":   {l.Ended, []string{"a 0", "a 1", "half a "}},
	} {
		l.Ended = c.ended
		out, err := serviceOf(l).getEvents(t.Context(), wire.Call{}, in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, texts(out.Events)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// filter reads all pages of a search.
func filter(t *testing.T, s *service, in filterInput) (all []string) {
	t.Helper()
	for page := range 100 {
		out, err := s.filterEvents(t.Context(), wire.Call{}, in)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range out.Events {
			all = append(all, e.Message)
			if seen[e.EventId] || len(e.EventId) != 56 {
				t.Errorf("page %d: event id %s", page, e.EventId)
			}
			seen[e.EventId] = true
		}
		if out.NextToken == "" {
			return all
		}
		in.Token = &out.NextToken
	}
	t.Fatal("the pages do not end")
	return nil
}

func TestAGroupIsSearched(t *testing.T) {
	t.Parallel()
	s := serviceOf(written(t, "b", monday.Add(time.Second), 3, ""), written(t, "a", monday, 3, ""))
	group := filterInput{Group: "/aws/codebuild/web"}
	for name, c := range map[string]struct {
		change func(*filterInput)
		want   []string
	}{
		"by time":           {func(*filterInput) {}, []string{"a 0", "a 1", "b 0", "a 2", "b 1", "b 2"}},
		"in pages":          {func(in *filterInput) { in.Limit = new(2) }, []string{"a 0", "a 1", "b 0", "a 2", "b 1", "b 2"}},
		"one stream":        {func(in *filterInput) { in.Names = []string{"b"} }, []string{"b 0", "b 1", "b 2"}},
		"streams by prefix": {func(in *filterInput) { in.Prefix = "a" }, []string{"a 0", "a 1", "a 2"}},
		"for a term":        {func(in *filterInput) { in.Pattern = "1" }, []string{"a 1", "b 1"}},
		"since a time":      {func(in *filterInput) { in.Start = new(monday.Add(2500 * time.Millisecond).UnixMilli()) }, []string{"b 2"}},
		"by the group's ARN": {func(in *filterInput) {
			in.Group, in.Identifier, in.Prefix = "", "arn:aws:logs:r:1:log-group:/aws/codebuild/web:*", "b"
		}, []string{"b 0", "b 1", "b 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := group
			c.change(&in)
			if diff := cmp.Diff(c.want, filter(t, s, in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for want, in := range map[string]filterInput{
		"ResourceNotFoundException": {Group: "/aws/codebuild/nope"},
		"InvalidParameterException": {Group: "/aws/codebuild/web", Pattern: "{ $.a = 1 }"},
	} {
		if _, err := s.filterEvents(t.Context(), wire.Call{}, in); codeOf(err) != want {
			t.Errorf("%+v: %v, want %s", in, err, want)
		}
	}
	if _, err := s.filterEvents(t.Context(), wire.Call{}, filterInput{Group: "/aws/codebuild/web", Token: new("made up")}); codeOf(err) != "InvalidParameterException" {
		t.Errorf("a token that was made up: %v", err)
	}
}

// TestAClientThatFollowsMissesNothing goes on from the newest time that it was
// told, as aws logs tail does, while two builds write.
func TestAClientThatFollowsMissesNothing(t *testing.T) {
	t.Parallel()
	a, b := written(t, "a", monday, 0, ""), written(t, "b", monday, 0, "")
	a.Ended, b.Ended = time.Time{}, time.Time{}
	s := serviceOf(a, b)
	now := monday
	s.Now = func() time.Time { return now }
	write := func(l Stream, at time.Time, text string) {
		t.Helper()
		file, err := os.OpenFile(l.File, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString(report.Stamp(at, text))
		}
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	told := map[string]bool{}
	in := filterInput{Group: "/aws/codebuild/web"}
	for i := range 50 {
		now = monday.Add(time.Duration(i) * 40 * time.Millisecond)
		write(a, now, fmt.Sprint("a ", i))
		out, err := s.filterEvents(t.Context(), wire.Call{}, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			told[e.Message] = true
			in.Start = &e.Timestamp
		}
		write(b, now.Add(10*time.Millisecond), fmt.Sprint("b ", i))
	}
	now = now.Add(time.Second)
	for _, line := range filter(t, s, in) {
		told[line] = true
	}
	if len(told) != 100 {
		t.Errorf("%d of 100 lines were told: %v", len(told), told)
	}
}

func TestAPlaceInALongLogIsFoundByItsTime(t *testing.T) {
	t.Parallel()
	const lines = 20_000
	l := written(t, "a", monday, lines, "")
	for _, i := range []int{0, 1, 17, 9_999, lines - 1, lines} {
		offset, err := l.seek(t.Context(), monday.Add(time.Duration(i)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		got := "nothing"
		err = l.each(t.Context(), offset, func(one line) error {
			got = one.text
			return errEnough
		})
		want := fmt.Sprintf("a %d", i)
		if i == lines {
			want = "nothing"
		}
		if err != nil || got != want {
			t.Errorf("at second %d: %q %v, want %q", i, got, err, want)
		}
	}
}

func TestGroupsAndStreamsAreListed(t *testing.T) {
	t.Parallel()
	s := serviceOf(written(t, "b", monday, 1, ""), written(t, "a", monday.Add(time.Hour), 1, ""))
	groups, err := s.describeGroups(t.Context(), wire.Call{Service: "logs", Region: "r", Account: "1"}, groupsInput{Limit: new(1)})
	if err != nil || len(groups.LogGroups) != 1 || groups.LogGroups[0].LogGroupName != "/aws/codebuild/shop" || groups.LogGroups[0].Arn != "arn:aws:logs:r:1:log-group:/aws/codebuild/shop:*" {
		t.Fatalf("groups %+v %v", groups, err)
	}
	more, err := s.describeGroups(t.Context(), wire.Call{}, groupsInput{Limit: new(1), Token: &groups.NextToken})
	if err != nil || len(more.LogGroups) != 1 || more.LogGroups[0].LogGroupName != "/aws/codebuild/web" || more.NextToken != "" {
		t.Errorf("the next page: %+v %v", more, err)
	}
	for want, in := range map[string]streamsInput{
		"a b": {}, "b a": {OrderBy: "LastEventTime"}, "a  b": {OrderBy: "LastEventTime", Descending: true}, "b": {Prefix: "b"},
	} {
		in.Group = "/aws/codebuild/web"
		out, err := s.describeStreams(t.Context(), wire.Call{}, in)
		var names []string
		if err == nil {
			for _, l := range out.LogStreams {
				names = append(names, l.LogStreamName)
			}
		}
		if got := strings.Join(names, " "); got != strings.ReplaceAll(want, "  ", " ") {
			t.Errorf("%+v: %s %v", in, got, err)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	const text = `error: exit code 7 in phase "build"`
	for pattern, want := range map[string]bool{
		"": true, "error": true, "ERROR": false, "error exit": true, "error warning": false, "error -exit": false, "?warning ?exit": true,
		"?warning ?WARN": false, `"exit code"`: true, `"code exit"`: false, `"\"build\""`: true, "%exit code [0-9]%": true, "%^exit%": false, "-warning": true,
	} {
		p, err := parsePattern(pattern)
		if err != nil || p.matches(text) != want {
			t.Errorf("%q: %t %v", pattern, !want, err)
		}
	}
	for _, pattern := range []string{`"open`, "%(%", "%a{9}%", "%open", "-", "{ $.x }", "[a, b]", `a"b`, strings.Repeat("x", 2000)} {
		if _, err := parsePattern(pattern); codeOf(err) != "InvalidParameterException" {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{`error -exit ?a "b c" %d+%`, `"\\" x`, "?-a", "%%"} {
		f.Add(seed, "error: b c")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, err := parsePattern(pattern)
		if err != nil && codeOf(err) != "InvalidParameterException" {
			t.Fatal(err)
		}
		_ = p.matches(text)
	})
}
