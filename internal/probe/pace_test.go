package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The tests here run on synctest's clock, so that their counts and times are
// exact, and talk to a function instead of a server.

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func greeting() *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("ok"))}
}

func startWith(t *testing.T, ctx context.Context, cfg Config, f roundTrip) *Prober {
	t.Helper()
	cfg.URL = "http://web.example.com"
	cfg.Transport = func(bool) http.RoundTripper { return f }
	p, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheRateIsKeptAndSplitEvenly(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{1, 7, 100, 1000, 3000} {
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, t.Context(), Config{Rate: rate}, func(*http.Request) (*http.Response, error) {
				time.Sleep(30 * time.Millisecond)
				return greeting(), nil
			})
			time.Sleep(10*time.Second + time.Millisecond)
			v := p.Stop()
			if want := 10 * rate; v.Requests < want-6 || v.Requests > want+1 || v.NotSent != 0 {
				t.Errorf("rate %d: %d requests in 10 s, %d not sent", rate, v.Requests, v.NotSent)
			}
			if d := v.Fresh.Requests - v.KeepAlive.Requests; d < 0 || d > 1 {
				t.Errorf("rate %d: %d fresh, %d keep-alive", rate, v.Fresh.Requests, v.KeepAlive.Requests)
			}
			if v.P50Ms < 30 || v.P99Ms > 31 {
				t.Errorf("rate %d: p50 %v ms, p99 %v ms, want 30", rate, v.P50Ms, v.P99Ms)
			}
		})
	}
}

func TestNoneIsLateWhenThePaceIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var worst time.Duration
		p := startWith(t, t.Context(), Config{Rate: 1}, func(*http.Request) (*http.Response, error) {
			worst = max(worst, time.Since(begin)%time.Second)
			return greeting(), nil
		})
		time.Sleep(5*time.Second + 500*time.Millisecond)
		if v := p.Stop(); v.Requests != 6 || worst > 100*time.Millisecond {
			t.Errorf("%d requests in 5.5 s, late by up to %v", v.Requests, worst)
		}
	})
}

func TestTheLongestGap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		good func(since time.Duration) bool // whether a request sent then is answered
		want int64
	}{
		{"is the pace of a healthy application", func(time.Duration) bool { return true }, 100},
		{"is the time without answers in between", func(d time.Duration) bool { return d < 2*time.Second || d > 3500*time.Millisecond }, 1700},
		{"does not count the time before the first answer", func(d time.Duration) bool { return d > 6*time.Second }, 100},
		{"counts the time after the last answer", func(d time.Duration) bool { return d < 4*time.Second }, 6100},
		{"is everything when no answer came", func(time.Duration) bool { return false }, 10050},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p := startWith(t, t.Context(), Config{Rate: 10}, func(*http.Request) (*http.Response, error) {
					if !c.good(time.Since(begin)) {
						return nil, syscall.ECONNREFUSED
					}
					return greeting(), nil
				})
				time.Sleep(10*time.Second + 50*time.Millisecond)
				live := p.Snapshot().LongestGapMs
				if got := p.Stop().LongestGapMs; got != live || got < c.want-50 || got > c.want+50 {
					t.Errorf("longest gap %d ms at the end and %d ms live, want %d", got, live, c.want)
				}
			})
		})
	}
}

func TestWhatCannotBeSentIsCountedAsNotSent(t *testing.T) {
	t.Parallel()
	t.Run("when too many requests are in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, t.Context(), Config{Rate: 10_000, Timeout: 5 * time.Second}, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			time.Sleep(4 * time.Second)
			v := p.Stop()
			if v.Requests != 8192 || v.Lost != 8192 || v.NotSent < 30_000 {
				t.Errorf("got %+v", v)
			}
			if !strings.Contains(v.String(), "not sent") {
				t.Errorf("%q hides what was not sent", v)
			}
		})
	})
	t.Run("when this machine has no descriptor left", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) { return nil, syscall.EMFILE })
			time.Sleep(time.Second)
			if v := p.Stop(); v.Requests != 0 || v.NotSent < 99 {
				t.Errorf("got %+v", v)
			}
		})
	})
	t.Run("when the prober had no time to see the answer", func(t *testing.T) {
		t.Parallel()
		for late, unsent := range map[time.Duration]bool{300 * time.Millisecond: false, 1500 * time.Millisecond: true} {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p := startWith(t, t.Context(), Config{Timeout: time.Second}, func(*http.Request) (*http.Response, error) {
					if time.Since(begin) > time.Second {
						return greeting(), nil
					}
					time.Sleep(time.Second + late) // as a process that gets no processor for so long
					return nil, context.DeadlineExceeded
				})
				time.Sleep(5 * time.Second)
				if v := p.Stop(); (v.NotSent > 0) != unsent || (v.Lost > 0) == unsent {
					t.Errorf("late by %v: %+v", late, v)
				}
			})
		}
	})
	t.Run("when the prober comes late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p, err := newProber(Config{URL: "http://web.example.com", Transport: func(bool) http.RoundTripper {
				return roundTrip(func(*http.Request) (*http.Response, error) { return greeting(), nil })
			}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			p.cancel, p.started = cancel, time.Now().Add(-10*time.Second) // as if it had stood still since
			p.tally.begin(p.started)
			go func() { defer close(p.paced); p.pace(ctx) }()
			time.Sleep(100 * time.Millisecond)
			if v := p.Stop(); v.NotSent < 900 || v.NotSent > 902 || v.Requests < 100 || v.Requests > 111 {
				t.Errorf("want 9 s of requests not sent and 1.1 s sent, got %+v", v)
			}
		})
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("waits for what is in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) {
				time.Sleep(3 * time.Second)
				return greeting(), nil
			})
			time.Sleep(time.Second)
			if v := p.Stop(); v.Requests < 100 || v.Lost != 0 {
				t.Errorf("got %+v", v)
			}
		})
	})
	t.Run("counts as lost what a deaf transport keeps", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) {
				<-release
				return greeting(), nil
			})
			time.Sleep(time.Second)
			before := time.Now()
			v := p.Stop()
			if took := time.Since(before); took != 6*time.Second {
				t.Errorf("stop took %v, want the timeout and a second", took)
			}
			if v.Lost < 100 || v.Losses["timeout"] != v.Lost || v.Lost != v.Requests {
				t.Errorf("got %+v", v)
			}
			close(release)
			synctest.Wait()
			if again := p.Stop(); again.Requests != v.Requests || p.Snapshot().Requests != v.Requests {
				t.Errorf("a late answer changed the final verdict: %+v", again)
			}
		})
	})
	t.Run("after the context has ended still counts what was in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			p := startWith(t, ctx, Config{}, func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(time.Second):
					return greeting(), nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			})
			time.Sleep(2*time.Second + time.Millisecond)
			cancel()
			time.Sleep(10 * time.Second)
			if v := p.Stop(); v.Requests != 201 || v.Lost != 0 || v.Rate < 99 || v.Rate > 101 {
				t.Errorf("got %+v", v)
			}
		})
	})
}

func TestOfTooManyMarksTheLatestAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) { return greeting(), nil })
		for n := range 1000 {
			p.Mark(fmt.Sprint("mark ", n))
			time.Sleep(10 * time.Millisecond)
		}
		v := p.Stop()
		if len(v.Marks) != maxMarks || v.Marks[0].Text != "start" || v.Marks[1].Text != "mark 961" || v.Marks[maxMarks-1].Text != "mark 999" {
			t.Errorf("got %+v", v.Marks)
		}
		sum := 0
		for _, m := range v.Marks {
			sum += m.Requests
		}
		if sum != v.Requests || v.Marks[maxMarks-1].AtMs != 9990 {
			t.Errorf("the marks count %d of %d requests: %+v", sum, v.Requests, v.Marks)
		}
	})
}
