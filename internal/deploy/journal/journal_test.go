package journal

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

const (
	shopService  = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}`
	shopSettings = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {a: "1"}}`
	shopOther    = `{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: shop}}`
)

// parse reads an object in YAML's short form.
func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Decode(body)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects, error %v", len(objects), err)
	}
	return objects[0].Unstructured
}

// kept is an entry of the journal as it is read back from the cluster.
func kept(t *testing.T, revision int, outcome pipeline.Outcome, adopted []kube.Ref, texts ...string) *Entry {
	t.Helper()
	var objects []manifest.Object
	for _, text := range texts {
		objects = append(objects, manifest.Object{Unstructured: parse(t, text)})
	}
	packed, err := pack(objects)
	if err != nil {
		t.Fatal(err)
	}
	return &Entry{
		Record: Record{Deployment: pipeline.Deployment{Revision: revision, Outcome: outcome}, Phase: Ended, Adopted: adopted},
		secret: &corev1.Secret{Data: map[string][]byte{manifestsKey: packed}},
	}
}

func TestWhatWasThereBeforeIsNotPrunedWithAFailedRevision(t *testing.T) {
	t.Parallel()
	settings, other := kube.RefOf(parse(t, shopSettings)), kube.RefOf(parse(t, shopOther))
	service := kube.RefOf(parse(t, shopService))
	failed := func(revision int) *Entry {
		return kept(t, revision, pipeline.Failed, []kube.Ref{settings}, shopSettings, shopOther)
	}
	for _, c := range []struct {
		name  string
		owned []*Entry
		want  []kube.Ref
	}{
		{"it stays when the revision that adopted it failed", []*Entry{kept(t, 1, pipeline.Succeeded, nil, shopService), failed(2)}, []kube.Ref{service, other}},
		{"it is the application's once one has succeeded with it", []*Entry{kept(t, 1, pipeline.Succeeded, []kube.Ref{settings}, shopSettings)}, []kube.Ref{settings}},
		{"it stays when all that there is has failed", []*Entry{failed(1), failed(2)}, []kube.Ref{other, other}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := &Journal{Entries: c.owned}
			got, err := j.OwnedBefore(j.Latest() + 1)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestWhatWasKeptCanBeAskedForLater(t *testing.T) {
	t.Parallel()
	settings, service := kube.RefOf(parse(t, shopSettings)), kube.RefOf(parse(t, shopService))
	j := &Journal{Entries: []*Entry{
		kept(t, 1, pipeline.Succeeded, nil, shopSettings, shopService), kept(t, 2, pipeline.Failed, []kube.Ref{service}, shopService), kept(t, 3, pipeline.Succeeded, nil, shopSettings),
	}}
	for _, c := range []struct {
		asked []string
		want  []kube.Ref
	}{{nil, []kube.Ref{settings}}, {[]string{"Service"}, []kube.Ref{service, settings}}} {
		got, err := j.OwnedBefore(4, c.asked...)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("asked for %v: %v (-want +got)\n%s", c.asked, err, diff)
		}
	}
}

func TestTheJournalKeepsRoomForTheSteps(t *testing.T) {
	t.Parallel()
	var objects []manifest.Object
	for n := range 3000 { // small ones, which compress well
		objects = append(objects, manifest.Object{Unstructured: parse(t, fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}`, n))})
	}
	_, err := (&Journal{app: "web"}).Add(t.Context(), Record{}, objects)
	if !refusal.Is(err) || !strings.Contains(err.Error(), "the 3000 rendered manifests take") {
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
	if objects, err := e.Objects(); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("%d objects, error %v", len(objects), err)
	}
}

func TestSettledRevisionsAreThoseThatSucceededOneAfterTheOther(t *testing.T) {
	t.Parallel()
	good, bad := pipeline.Succeeded, pipeline.Failed
	for _, c := range []struct {
		name     string
		outcomes map[int]pipeline.Outcome
		want     int
	}{
		{"a first revision has none before it", nil, 5},
		{"all have succeeded", map[int]pipeline.Outcome{2: good, 3: good, 4: good}, 2},
		{"one in between has failed", map[int]pipeline.Outcome{2: good, 3: bad, 4: good}, 4},
		{"the last one has failed", map[int]pipeline.Outcome{3: good, 4: bad}, 5},
		{"one in between is not known any more", map[int]pipeline.Outcome{2: good, 4: good}, 4},
		{"one that came later does not count", map[int]pipeline.Outcome{4: good, 5: bad, 6: bad}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := &Journal{}
			for revision := 1; revision < 9; revision++ {
				if outcome, ok := c.outcomes[revision]; ok {
					j.Entries = append(j.Entries, kept(t, revision, outcome, nil, shopSettings))
				}
			}
			if got := j.Settled(5); got != c.want {
				t.Errorf("settled from revision %d on, want %d", got, c.want)
			}
		})
	}
	t.Run("one that is under way", func(t *testing.T) {
		t.Parallel()
		under := kept(t, 4, good, nil, shopSettings)
		under.Phase = Deploying
		if got := (&Journal{Entries: []*Entry{under}}).Settled(5); got != 5 {
			t.Errorf("settled from revision %d on, want 5", got)
		}
	})
}
