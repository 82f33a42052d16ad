package probe

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAProberAtRestSendsLittleAndCountsTheTruth(t *testing.T) {
	t.Parallel()
	t.Run("for an hour", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) { return greeting(), nil })
			time.Sleep(10 * time.Second)
			p.Rest()
			time.Sleep(time.Second)
			before := p.Snapshot()
			time.Sleep(time.Hour)
			after := p.Snapshot()
			if n := after.Requests - before.Requests; n < 3595 || n > 3605 || after.KeepAlive.Requests != before.KeepAlive.Requests {
				t.Errorf("%d requests in an hour, kept lane %d to %d: want one per second, on new connections", n, before.KeepAlive.Requests, after.KeepAlive.Requests)
			}
			p.Wake()
			time.Sleep(10 * time.Second)
			v := p.Stop()
			if v.Rate < 95 || v.Rate > 101 || v.LongestGapMs > 200 || v.KeepAlive.LongestGapMs > 200 || v.Fresh.LongestGapMs > 200 || v.Lost != 0 || v.NotSent != 0 {
				t.Errorf("want 100/s without a gap when it does not rest: %+v", v)
			}
			if n := v.Requests - after.Requests; n < 980 || n > 1010 {
				t.Errorf("%d requests in the 10 s after it", n)
			}
		})
	})
	t.Run("while the application is away for 10 s", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var away atomic.Bool
			p := startWith(t, t.Context(), Config{}, func(*http.Request) (*http.Response, error) {
				if away.Load() {
					return nil, errors.New("away")
				}
				return greeting(), nil
			})
			time.Sleep(time.Second)
			p.Rest()
			time.Sleep(10500 * time.Millisecond)
			away.Store(true)
			time.Sleep(10 * time.Second)
			away.Store(false)
			time.Sleep(10 * time.Second)
			p.Wake()
			time.Sleep(time.Second)
			if v := p.Stop(); v.Lost != 10 || v.LongestGapMs < 9000 || v.LongestGapMs > 11000 {
				t.Errorf("%d lost, longest gap %d ms: want 10, and about 10 s: %+v", v.Lost, v.LongestGapMs, v)
			}
		})
	})
}
