package refusal_test

import (
	"errors"
	"testing"

	"github.com/towline/towline/internal/deploy/refusal"
)

func TestBecausePutsTheCauseOnce(t *testing.T) {
	t.Parallel()
	cause := refusal.New("7 requests lost")
	err := refusal.Because(refusal.Because(refusal.New("1/3 new pods ready"), cause), cause)
	if got, want := err.Error(), "7 requests lost: 1/3 new pods ready"; got != want || !refusal.Is(err) {
		t.Errorf("error %q, want the refusal %q", got, want)
	}
	if fault := errors.New("connection refused"); refusal.Because(fault, cause) != cause { //nolint:errorlint // The very error is meant.
		t.Errorf("a fault hides its cause %v", cause)
	}
	if late := refusal.Because(refusal.New("pod web-1 is not ready"), refusal.Deadline("it took longer than 10m")); !refusal.IsDeadline(late) {
		t.Errorf("%v is no deadline", late)
	}
}
