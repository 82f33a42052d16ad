package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFollowGoesOnWhereTheConnectionBroke breaks the connection after each
// number of bytes of a log, so in the middle of lines too: no line is lost,
// none comes twice, and the server is asked for the beginnings of lines only.
func TestFollowGoesOnWhereTheConnectionBroke(t *testing.T) {
	t.Parallel()
	const log = "one\ntwo\nthree"
	for cut := range len(log) {
		t.Run(fmt.Sprint("after ", cut, " bytes"), func(t *testing.T) {
			t.Parallel()
			broken := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
				if err != nil || offset > 0 && log[offset-1] != '\n' {
					t.Errorf("offset %d is in the middle of a line (%v)", offset, err)
				}
				if broken {
					_, _ = io.WriteString(w, log[offset:])
					return
				}
				broken = true
				_, _ = io.WriteString(w, log[:cut])
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			defer server.Close()
			var got bytes.Buffer
			if err := New(server.URL, "t").Follow(t.Context(), ActionRef{}, &got); err != nil || got.String() != log {
				t.Errorf("got %q, %v", got.String(), err)
			}
		})
	}
}

func TestFollowEndsWhenItsWriterDoes(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\ntwo\n")
	}))
	defer server.Close()
	read, write := io.Pipe()
	enough := errors.New("enough")
	_ = read.CloseWithError(enough)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := New(server.URL, "t").Follow(ctx, ActionRef{}, write); !errors.Is(err, enough) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

// TestAServerThatDiesBeforeItAnswersIsAskedAgain closes the first connection
// without an answer, as a server does that is killed while it starts.
func TestAServerThatDiesBeforeItAnswersIsAskedAgain(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "one\n")
	}))
	defer server.Close()
	var got strings.Builder
	if err := New(server.URL, "t").Follow(t.Context(), ActionRef{}, &got); err != nil || got.String() != "one\n" {
		t.Errorf("got %q, %v", got.String(), err)
	}
}

// TestAQuietConnectionIsOpenedAgain says that the time for coming back is
// counted from the break, not from the last thing that was heard.
func TestAQuietConnectionIsOpenedAgain(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	tries := 0
	err := persist(t.Context(), func() time.Time { return now }, func() (bool, bool, error) {
		if tries++; tries == 2 {
			return false, true, nil
		}
		now = now.Add(10 * reconnectFor) // nothing changed for so long, then the server was restarted
		return false, false, broken{io.EOF}
	})
	if err != nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
