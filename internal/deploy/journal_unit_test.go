package deploy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// kept is an entry of the journal as it is read back from the cluster.
func kept(t *testing.T, revision int, outcome pipeline.Outcome, adopted []kube.Ref, texts ...string) *entry {
	t.Helper()
	var objects []manifest.Object
	for _, text := range texts {
		objects = append(objects, manifest.Object{Unstructured: parse(t, text)})
	}
	packed, err := pack(objects)
	if err != nil {
		t.Fatal(err)
	}
	return &entry{
		record: record{Deployment: pipeline.Deployment{Revision: revision, Outcome: outcome}, Phase: ended, Adopted: adopted},
		secret: &corev1.Secret{Data: map[string][]byte{manifestsKey: packed}},
	}
}

func TestWhatWasThereBeforeIsNotPrunedWithAFailedRevision(t *testing.T) {
	t.Parallel()
	settings, other := kube.RefOf(parse(t, shopSettings)), kube.RefOf(parse(t, shopOther))
	service := kube.RefOf(parse(t, shopService))
	failed := func(revision int) *entry {
		return kept(t, revision, pipeline.Failed, []kube.Ref{settings}, shopSettings, shopOther)
	}
	for _, c := range []struct {
		name  string
		owned []*entry
		want  []kube.Ref
	}{
		{"it stays when the revision that adopted it failed", []*entry{kept(t, 1, pipeline.Succeeded, nil, shopService), failed(2)}, []kube.Ref{service, other}},
		{"it is the application's once one has succeeded with it", []*entry{kept(t, 1, pipeline.Succeeded, []kube.Ref{settings}, shopSettings)}, []kube.Ref{settings}},
		{"it stays when all that there is has failed", []*entry{failed(1), failed(2)}, []kube.Ref{other, other}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := &journal{entries: c.owned}
			got, err := j.ownedBefore(j.latest() + 1)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestTheJournalKeepsRoomForTheSteps(t *testing.T) {
	t.Parallel()
	var objects []manifest.Object
	for n := range 3000 { // small ones, which compress well
		objects = append(objects, manifest.Object{Unstructured: parse(t, fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}`, n))})
	}
	_, err := (&journal{app: "web"}).add(t.Context(), record{}, objects)
	if !isRefusal(err) || !strings.Contains(err.Error(), "the 3000 rendered manifests take") {
		t.Errorf("error %v, want a refusal before anything is written", err)
	}
}

func TestAPartOfARevisionIsNotTakenForTheWhole(t *testing.T) {
	t.Parallel()
	e := kept(t, 1, pipeline.Succeeded, nil, shopSettings)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(bytes.Repeat([]byte("\n"), maxUnpacked+1)) // nothing shows that there is more
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	e.secret.Data[manifestsKey] = packed.Bytes()
	if objects, err := e.objects(); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("%d objects, error %v", len(objects), err)
	}
}

func TestAdopted(t *testing.T) {
	t.Parallel()
	settings := kube.RefOf(parse(t, shopSettings))
	j := &journal{entries: []*entry{
		kept(t, 1, pipeline.Failed, []kube.Ref{kube.RefOf(parse(t, shopOther))}, shopOther),
		kept(t, 2, pipeline.Succeeded, nil, shopOther),
		kept(t, 3, pipeline.Failed, []kube.Ref{settings}, shopSettings),
	}}
	for _, c := range []struct {
		name   string
		live   []string
		before []kube.Ref
		want   []kube.Ref
	}{
		{"what is not there is created", nil, nil, nil},
		{"what is there without an owner is adopted", []string{shopSettings}, nil, []kube.Ref{settings}},
		{"what the application owns is not", []string{mine(shopSettings)}, nil, nil},
		{"what a failed revision has marked is adopted still", []string{mine(shopSettings), mine(shopOther)}, j.adoptedBefore(4), []kube.Ref{settings}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := situation(t, 4, []string{shopSettings, shopOther}, c.live, nil)
			if diff := cmp.Diff(c.want, adopted(s, c.before)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}
