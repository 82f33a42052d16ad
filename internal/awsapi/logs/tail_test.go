package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/waittest"
)

const (
	keyID     = "AKIAVIEWERVIEWER2345"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// oneKey is that of a viewer.
type oneKey struct{}

func (oneKey) Key(_ context.Context, id string) (access.Key, error) {
	return access.Key{ID: id, Secret: secretKey, Role: client.Viewer}, nil
}

func (oneKey) Used(context.Context, string) error { return nil }

// printed is what a command has printed so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// tail has the aws command follow the logs of the group web, until the test
// ends it.
func tail(t *testing.T, archive Archive, args ...string) (out *printed, end func() string) {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	api, err := New(Config{Archive: archive, Pages: []byte(strings.Repeat("k", 32)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.New(wire.Config{Keys: oneKey{}, Account: "123456789012", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, api))
	t.Cleanup(server.Close)
	cmd := exec.CommandContext(t.Context(), path, append([]string{"logs", "start-live-tail", "--endpoint-url", server.URL, "--region", "eu-west-1", "--log-group-identifiers"}, args...)...)
	out = &printed{}
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &talk
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_EC2_METADATA_DISABLED=true", "AWS_DISABLE_HOST_PREFIX_INJECTION=true"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return out, func() string {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		return talk.String()
	}
}

const webARN = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/codebuild/web"

// TestTheAWSCommandFollowsALog writes to a log that has lines already, until the
// command shows some, and then so many more.
func TestTheAWSCommandFollowsALog(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-time.Minute)
	log, other := written(t, "a", begun, 3, ""), written(t, "b", begun, 3, "")
	log.Ended, other.Ended = time.Time{}, time.Time{}
	out, end := tail(t, shelf{log, other}, webARN, "--log-event-filter-pattern=-noise", "--log-stream-names", "a")
	file, err := os.OpenFile(log.File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	write := func() {
		t.Helper()
		if n++; n > 1 {
			_, err = file.WriteString(report.Stamp(time.Now(), "some noise"))
		}
		if err == nil {
			_, err = file.WriteString(report.Stamp(time.Now(), fmt.Sprintf("line %d", n)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, "a line is shown", func() bool {
		write()
		return strings.Contains(out.String(), "line ")
	})
	for range 20 {
		write()
	}
	last := fmt.Sprintf("line %d\n", n)
	waittest.Until(t, "the last line is shown", func() bool { return strings.Contains(out.String(), last) })
	if talk := end(); talk != "" {
		t.Errorf("the command says: %s", talk)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	var first int
	if _, err := fmt.Sscanf(got[0], "line %d", &first); err != nil {
		t.Fatalf("it shows %q", got)
	}
	var want []string
	for i := first; i <= n; i++ {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeFollowedIsRefused(t *testing.T) {
	t.Parallel()
	s := serviceOf(written(t, "a", monday, 1, ""))
	call := wire.Call{Service: "logs", Region: "eu-west-1", Account: "123456789012"}
	for name, c := range map[string]struct {
		in   tailInput
		want string
	}{
		"a group that is not there": {tailInput{Groups: []string{strings.Replace(webARN, "web", "nope", 1)}}, "ResourceNotFoundException"},
		"a group by its name":       {tailInput{Groups: []string{"/aws/codebuild/web"}}, "InvalidParameterException"},
		"a pattern for JSON":        {tailInput{Groups: []string{webARN}, Pattern: "{ $.a = 1 }"}, "InvalidParameterException"},
		"streams of two groups":     {tailInput{Groups: []string{webARN, webARN}, Names: []string{"a"}}, "InvalidParameterException"},
	} {
		if _, err := s.startLiveTail(t.Context(), call, c.in); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// No session holds a place here, and none is free.
	stream, err := s.startLiveTail(t.Context(), call, tailInput{Groups: []string{webARN}})
	if err == nil {
		err = stream(t.Context(), func(string, any) error { return nil })
	}
	if codeOf(err) != "LimitExceededException" {
		t.Errorf("one client too many: %v", err)
	}
}
