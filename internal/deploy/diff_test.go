package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/kube"
)

// differences are the lines of a difference without those around them.
func differences(o ObjectChange) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(o.Diff), func(line string) bool { return line[0] == ' ' || line[0] == '@' }), ",")
}

// TestAPreviewWritesNothing previews a first deployment and looks for traces.
func TestAPreviewWritesNothing(t *testing.T) {
	b := setup(t)
	b.write(t, extra, fmt.Sprintf(settings, "hello"))
	p, err := New(b.config).Preview(t.Context(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	if !p.NewNamespace || p.Revision != 1 || len(p.Objects) != 2 || p.Objects[0].Change != "create" || len(p.Steps) != 2 {
		t.Errorf("%+v", p)
	}
	if _, err := b.cluster.Get(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: b.namespace}); !kube.IsNotFound(err) {
		t.Errorf("the namespace is there: %v", err)
	}

	b.deployWell(t, b.request())
	b.write(t, fmt.Sprintf(settings, "bonjour"))
	if p, err = New(b.config).Preview(t.Context(), b.request()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range p.Objects {
		got = append(got, o.Change+" "+o.Object+" "+differences(o))
	}
	want := []string{"update ConfigMap settings -   greeting: hello,+   greeting: bonjour", "delete ConfigMap extra "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	history, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil || len(history) != 1 {
		t.Errorf("history %+v, %v", history, err)
	}
	if got := b.data(t, "settings")["greeting"]; got != "hello" {
		t.Errorf("the preview has made it %q", got)
	}
}

func TestDriftIsWhatSomebodyHasChangedSince(t *testing.T) {
	b := setup(t)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {password: s3cret}\n"
	b.write(t, extra, fmt.Sprintf(settings, "hello"), secret)
	b.deployWell(t, b.request())
	drift := func() []string {
		t.Helper()
		d, err := New(b.config).Drift(t.Context(), b.namespace, "web")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range d.Objects {
			note, _, _ := strings.Cut(o.Note, " at ")
			got = append(got, fmt.Sprintf("%s %s %s %s", o.Change, o.Object, note, differences(o)))
		}
		slices.Sort(got)
		return got
	}
	if got := drift(); len(got) > 0 {
		t.Errorf("drift of what nobody has touched: %q", got)
	}
	b.applyAs(t, "kubectl-edit", strings.Replace(fmt.Sprintf(settings, "ahoy"), "\ndata: {", "\ndata: {theirs: \"1\", ", 1))
	b.applyAs(t, "kubectl-edit", strings.Replace(secret, "s3cret", "guessed", 1))
	if err := b.cluster.Delete(t.Context(), b.ref("v1", "ConfigMap", "extra"), ""); err != nil {
		t.Fatal(err)
	}
	live, err := b.cluster.Get(t.Context(), b.ref("v1", "ConfigMap", "settings"))
	if err != nil {
		t.Fatal(err)
	}
	b.applyAs(t, "somebody", fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: copy, labels: {applyset.kubernetes.io/part-of: %s}}\n", live.GetLabels()["applyset.kubernetes.io/part-of"]))
	want := []string{
		"changed ConfigMap settings written by kubectl-edit -   greeting: hello,+   greeting: ahoy",
		"changed Secret keys written by kubectl-edit -   password: (hidden, before),+   password: (hidden, after)",
		"missing ConfigMap extra it was deleted since ",
		"stranger ConfigMap copy has the marks of web and is in no revision of its journal ",
	}
	if diff := cmp.Diff(want, drift()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
