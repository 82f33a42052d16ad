package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// resume plans as for a revision that another process has begun, whose
// application has the Service and the old set given.
func resume(t *testing.T, resumed Resumed, live []string, sets ...Set) []string {
	t.Helper()
	s := situation(t, 2, []string{deployment("web", 3, "app: web"), service("web", "app: web")}, live, nil)
	s.Strategy, s.Sets, s.Resumed, s.Hashes = BlueGreen, sets, resumed, map[string]string{}
	s.Knobs = Knobs{Union: true, Drain: "warn"}
	var err error
	if s.Desired, err = SideBySide(s.Desired, true); err != nil {
		t.Fatal(err)
	}
	s.Desired = manifest.Sort(s.Desired)
	if live == nil { // The Service is as desired already.
		for _, o := range s.Desired {
			if o.GetKind() == "Service" {
				s.Live[kube.RefOf(o.Unstructured).ID()] = o.Unstructured
			}
		}
	}
	for _, set := range sets {
		s.Live[set.Ref().ID()] = set.Live
	}
	steps, err := Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return texts(steps)
}

func TestAResumedCutOverDoesWhatAnUninterruptedOneDoes(t *testing.T) {
	t.Parallel()
	both := mine(service("web", "app: web"))
	adopted := Set{Live: parse(t, deployment("web", 3, "app: web")), Kept: true, Hash: "h1"}
	has := func(lines []string, text string) bool {
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) })
	}
	switched := map[string]bool{(kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "web"}).ID(): true}
	for name, c := range map[string]struct {
		got  []string
		text string
		want bool
	}{
		"the first set is asked though its Service is there": {resume(t, Resumed{First: true, Again: true}, nil), "rehearse", true},
		"one that was asked by an earlier revision is not":   {resume(t, Resumed{}, nil), "rehearse", false},
		"requests that both sets get are not taken back":     {resume(t, Resumed{Again: true}, []string{both}, oldSet(t, 2)), "keep the new pods out", false},
		"they move on": {resume(t, Resumed{Again: true}, []string{both}, oldSet(t, 2)), "promote: app=web -> app=web,towline.dev/set=NEW", true},
		"a new revision keeps its pods out first":                   {resume(t, Resumed{}, []string{both}, oldSet(t, 2)), "keep the new pods out", true},
		"so does a resumed one that has not got so far":             {resume(t, Resumed{Again: true}, []string{both}, adopted), "keep the new pods out", true},
		"one that takes an application over and has got so far not": {resume(t, Resumed{Again: true, Switched: switched}, []string{both}, adopted), "keep the new pods out", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if has(c.got, c.text) != c.want {
				t.Errorf("%q in the plan: %t, want %t:\n%s", c.text, !c.want, c.want, strings.Join(c.got, "\n"))
			}
		})
	}
}
