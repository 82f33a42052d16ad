package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func TestAProberOutlivesItsDeployment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		longest, want time.Duration
	}{
		{"one that waits for nobody", 10 * time.Minute, proberLife},
		{"one that waits for a day", 24*time.Hour + 10*time.Minute, 26*time.Hour + 10*time.Minute},
		{"one that waits for a week", 168 * time.Hour, 170 * time.Hour},
		{"one that waits for a century", 876000 * time.Hour, (1<<31 - 1) * time.Second},
	} {
		if got := proberLifeOf(c.longest); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What comes after a long wait is what the deployment is measured for.
func TestAProberThatIsLostBeforeAStepIsRenewed(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	w := x.watchman(t, pipeline.Verify{From: "pod", Budget: 2})
	startWell(t, w)
	w.collect(t.Context(), 50, time.Minute)
	gone, ok := w.current().(*podProber)
	if !ok {
		t.Fatal("the prober is in no pod")
	}
	w.Renew(t.Context())
	if w.current() != prober(gone) {
		t.Fatal("a prober that counts is renewed")
	}
	if err := x.config.Cluster.Delete(t.Context(), gone.place, ""); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is renewed", func() bool {
		w.Renew(t.Context())
		return w.current() != prober(gone)
	})
	v := w.collect(t.Context(), 100, time.Minute)
	if v.Requests < 100 || v.Via == via(gone.place) || !strings.HasPrefix(v.Via, "pod ") {
		t.Errorf("by %s: %+v", v.Via, v)
	}
	w.spent = 3
	if err := w.judge(v); !refusal.Is(err) || !strings.Contains(err.Error(), "was lost, which had counted 0 of") {
		t.Errorf("judged %v, want that the losses of the first prober count", err)
	}
	w.spent = 0
	if err := w.judge(v); err != nil {
		t.Error(err)
	}
	final := w.Verdict()
	if !strings.Contains(final.Partial, "counted anew since "+via(gone.place)+" was lost") {
		t.Errorf("the verdict does not say it: %s", final.Partial)
	}
	w.Renew(t.Context())
	if err := x.left(); err != nil {
		t.Error(err)
	}
}
