package deploy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/deploy/plan"
)

func TestTheLargestSetIsWhatMustBeReplaced(t *testing.T) {
	t.Parallel()
	pods := func(sets ...string) []*corev1.Pod {
		var all []*corev1.Pod
		for _, set := range sets {
			all = append(all, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{plan.SetLabel: set}}})
		}
		return all
	}
	for name, c := range map[string]struct {
		pods []*corev1.Pod
		want int
	}{
		"no pods":                               {nil, 0},
		"one set":                               {pods("a", "a", "a"), 3},
		"a set that was interrupted beside one": {pods("a", "a", "b", "b", "b"), 3},
		"pods of no set are one":                {pods("", "", "a"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := largestSet(c.pods); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
