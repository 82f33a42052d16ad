package verdict

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/pipeline"
)

// judge refuses more losses than the budget allows, those left aside that going
// back would not mend; see Forgive.
func (w *Watchman) judge(v pipeline.Verdict) error {
	w.mu.Lock()
	spent, earlier := w.spent, w.earlier
	w.mu.Unlock()
	if v.Lost-w.forgiven(v)+spent <= w.Verify.Budget {
		return nil
	}
	text := fmt.Sprintf("%d of %d requests lost (%s), the budget is %d", v.Lost, v.Requests, causes(v), w.Verify.Budget)
	if spent > 0 {
		text += ", " + earlier
	}
	if hint := keepAliveHint(v); hint != "" {
		text += ". " + hint
	}
	return refusal.New("%s", text)
}

// keepAliveHint names the one cause of losses that no deployer can mend from
// outside.
func keepAliveHint(v pipeline.Verdict) string {
	if v.KeepAlive.Lost == 0 || v.Fresh.Lost > 0 || v.Losses["timeout"] > 0 {
		return ""
	}
	return "Only connections that are kept open lost requests: the application cuts them when it ends. " +
		"After SIGTERM, let it answer with \"Connection: close\" until its connections are gone, for some seconds at most, and only then shut down, or set drain: proxy"
}

// causes names what was lost and why, the most frequent cause first.
func causes(v pipeline.Verdict) string {
	names := slices.SortedFunc(maps.Keys(v.Losses), func(a, b string) int {
		return cmp.Or(cmp.Compare(v.Losses[b], v.Losses[a]), cmp.Compare(a, b))
	})
	if len(names) == 0 {
		return "no answer"
	}
	for i, cause := range names {
		names[i] = fmt.Sprintf("%d %s", v.Losses[cause], cause)
	}
	return strings.Join(names, ", ")
}

// partial says what of the deployment the counts leave out.
func (w *Watchman) partial() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.earlier != "":
		return "counted anew since " + w.earlier
	case w.deferred != "":
		return "counted after the rollout only: " + w.deferred
	case w.resumed:
		return "counted from where another process took over"
	}
	return ""
}

// repeated says that losses may not have been seen, because the API server's
// proxy sends what it may send twice again when a connection to the
// application breaks.
func (w *Watchman) repeated(v pipeline.Verdict) string {
	if v.Via != viaProxy || strings.EqualFold(w.Verify.Method, http.MethodPost) {
		return ""
	}
	return "but the API server's proxy hides some losses, since it may send a GET again: for a strict count set verify.from to pod, or verify.method to POST"
}

// doubt says that the counts mean little because the application refused all
// requests: a path that it does not have is answered however broken it is.
func doubt(v pipeline.Verdict) string {
	for status := range v.Responses {
		if status < "4" {
			return ""
		}
	}
	if len(v.Responses) == 0 || v.Lost > 0 {
		return ""
	}
	return fmt.Sprintf("but every answer was a refusal, %s: set verify.path to a page that the application has",
		strings.Join(slices.Sorted(maps.Keys(v.Responses)), ", "))
}
