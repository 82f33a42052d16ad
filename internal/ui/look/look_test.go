package look_test

import (
	"testing"
	"time"

	"github.com/towline/towline/internal/ui/look"
)

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0 ms": -time.Second, "850 ms": 850 * time.Millisecond, "4.2 s": 4200 * time.Millisecond, "59 s": 59*time.Second + 999*time.Millisecond,
		"3 min 20 s": 200 * time.Second, "2 h 5 min": 125 * time.Minute, "3 d 4 h": 76 * time.Hour,
	} {
		if got := look.Duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestTimesAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	for want, d := range map[string]time.Duration{
		"now": 4 * time.Second, "40 s ago": 40 * time.Second, "5 min ago": 5*time.Minute + 50*time.Second, "3 h ago": 3 * time.Hour, "12 d ago": 12 * 24 * time.Hour,
		"19 Jan 2026": 60 * 24 * time.Hour,
	} {
		if got := look.Ago(now.Add(-d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := look.Ago(now.Add(time.Hour), now); got != "now" {
		t.Errorf("a clock that is ahead: %q", got)
	}
}

func TestWordsOfStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]struct {
		words string
		tone  look.Tone
	}{
		"Succeeded": {"Succeeded", look.Good}, "InProgress": {"In progress", look.Busy}, "TIMED_OUT": {"Timed out", look.Bad}, "FAULT": {"Fault", look.Bad},
		"Superseded": {"Superseded", look.Idle}, "CrashLoopBackOff": {"Crash loop back off", look.Bad}, "": {"", look.Idle}, "whatever": {"Whatever", look.Idle},
	} {
		if words, tone := look.Words(status), look.ToneOf(status); words != want.words || tone != want.tone {
			t.Errorf("%q: %q %s, want %q %s", status, words, tone, want.words, want.tone)
		}
	}
}

func TestNumbersAndSizes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 48211: "48\u202f211", 1234567: "1\u202f234\u202f567", -1000: "-1\u202f000", -100: "-100"} {
		if got := look.Number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_999: "1.0 MB", 3_400_000: "3.4 MB", 1 << 62: "4.6 EB"} {
		if got := look.Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestForeignTextIsCut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "fix": "fix", "\n first \nsecond": "first ", "grüße an alle": "grüße a…"} {
		if got := look.FirstLine(text, 8); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
