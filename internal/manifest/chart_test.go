package manifest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func chartOf(t *testing.T, a archive) HelmChart {
	t.Helper()
	c := HelmChart{Path: a.settings["chart"], Release: "web", Namespace: a.settings["namespace"], KubeVersion: a.settings["kube"]}
	if release := a.settings["release"]; release != "" {
		c.Release = release
	}
	if values := a.settings["values"]; values != "" {
		c.Values = strings.Split(values, ", ")
	}
	if set := a.settings["set"]; set != "" {
		if err := json.Unmarshal([]byte(set), &c.Set); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestLoadChart(t *testing.T) {
	t.Parallel()
	eachArchive(t, "helm", func(t *testing.T, a archive) {
		objs, changes, err := LoadChart(a.root(t), chartOf(t, a))
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("the error is not the user's: %v", err)
			}
			a.expect(t, "want.error", err.Error())
			return
		}
		var placed strings.Builder
		for _, o := range objs {
			fmt.Fprintf(&placed, "%s %s\n", Ref(o.Unstructured), o.Source)
		}
		for _, secret := range OfKind(objs, "", "Secret") {
			secret.Object["stringData"] = "random"
		}
		a.expect(t, "want.changes", lines(changes))
		a.expect(t, "want.sources", placed.String())
		a.expect(t, "want.yaml", bodies(t, objs))
	})
}

const (
	chartYAML    = "{apiVersion: v2, name: web, version: 1.0.0}"
	chartMapYAML = "{apiVersion: v1, kind: ConfigMap, metadata: {name: {{ .Chart.Name }}}}"
)

// tarEntry is one entry of an archive.
type tarEntry struct {
	name, text string
	kind       byte // of archive/tar; 0 is a file
}

func tgz(t testing.TB, entries ...tarEntry) string {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: 0o600, Typeflag: tar.TypeReg}
		if e.kind != 0 {
			header.Typeflag, header.Size, header.Linkname, e.text = e.kind, 0, e.text, ""
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLoadChartReadsArchivesOfArchives(t *testing.T) {
	t.Parallel()
	inner := tgz(t, tarEntry{name: "cache/Chart.yaml", text: "{apiVersion: v2, name: cache, version: 1.0.0}"}, tarEntry{name: "cache/templates/c.yaml", text: chartMapYAML})
	db := tgz(t, tarEntry{name: "db/Chart.yaml", text: "{apiVersion: v2, name: db, version: 1.0.0}"}, tarEntry{name: "db/templates/d.yaml", text: chartMapYAML},
		tarEntry{name: "db/charts/cache-1.0.0.tgz", text: inner})
	web := tgz(t, tarEntry{name: "web/", kind: tar.TypeDir}, tarEntry{name: "web/Chart.yaml", text: "\ufeff" + chartYAML}, tarEntry{name: "web/templates/w.yaml", text: chartMapYAML},
		tarEntry{name: "web/charts/db-1.0.0.tgz", text: db}, tarEntry{name: "web/files/data.tgz", text: "not a chart"})
	root := write(t, map[string]string{"charts/web-1.0.0.tgz": web, "dir/Chart.yaml": chartYAML, "dir/templates/w.yaml": chartMapYAML, "dir/charts/db.tgz": db})
	for path, want := range map[string]string{
		"charts/web-1.0.0.tgz": "charts/web-1.0.0.tgz/charts/db-1.0.0.tgz/charts/cache-1.0.0.tgz/templates/c.yaml\ncharts/web-1.0.0.tgz/charts/db-1.0.0.tgz/templates/d.yaml\ncharts/web-1.0.0.tgz/templates/w.yaml\n",
		"dir":                  "dir/charts/db.tgz/charts/cache-1.0.0.tgz/templates/c.yaml\ndir/charts/db.tgz/templates/d.yaml\ndir/templates/w.yaml\n",
	} {
		objs, _, err := LoadChart(root, HelmChart{Path: path, Release: "web"})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, o := range objs {
			got += o.Source.String() + "\n"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
}

func TestLoadChartRefusesArchivesThatLeadOut(t *testing.T) {
	t.Parallel()
	chart := tarEntry{name: "web/Chart.yaml", text: chartYAML}
	bomb := tgz(t, tarEntry{name: "web/big", text: strings.Repeat("a", maxFile+1)})
	nested := tgz(t, chart)
	for range maxChartDepth + 1 {
		nested = tgz(t, chart, tarEntry{name: "web/charts/a.tgz", text: nested})
	}
	for name, tc := range map[string]struct{ text, want string }{
		"a parent directory":         {tgz(t, chart, tarEntry{name: "web/../../x", text: "x"}), "not below the chart's directory"},
		"a parent directory within":  {tgz(t, chart, tarEntry{name: "web/../web/x", text: "x"}), "not below the chart's directory"},
		"an absolute path":           {tgz(t, chart, tarEntry{name: "/etc/passwd", text: "x"}), "not below the chart's directory"},
		"a path of Windows":          {tgz(t, chart, tarEntry{name: "web\\..\\x", text: "x"}), "not below the chart's directory"},
		"a file beside the chart":    {tgz(t, chart, tarEntry{name: "x", text: "x"}), "not below the chart's directory"},
		"a symbolic link":            {tgz(t, chart, tarEntry{name: "web/templates", text: "/etc", kind: tar.TypeSymlink}), "no regular file"},
		"a hard link":                {tgz(t, chart, tarEntry{name: "web/x", text: "/etc/passwd", kind: tar.TypeLink}), "no regular file"},
		"a device":                   {tgz(t, chart, tarEntry{name: "web/x", kind: tar.TypeChar}), "no regular file"},
		"a file twice":               {tgz(t, chart, chart), "is there twice"},
		"a file that is too large":   {bomb, "is too large"},
		"archives without an end":    {nested, "archives more than"},
		"no archive":                 {"apiVersion: v2\n", "is no chart's archive"},
		"an archive of nothing":      {tgz(t), "is no chart's archive"},
		"an archive that is cut off": {tgz(t, chart)[:60], "is no chart's archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := write(t, map[string]string{"web.tgz": tc.text})
			_, _, err := LoadChart(root, HelmChart{Path: "web.tgz", Release: "web"})
			if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestLoadChartStaysInTheSource(t *testing.T) {
	t.Parallel()
	outside := write(t, map[string]string{"secret.yaml": oneConfigMap, "Chart.yaml": chartYAML})
	root := write(t, map[string]string{"web/Chart.yaml": chartYAML, "web/templates/w.yaml": chartMapYAML, "common/Chart.yaml": "{apiVersion: v2, name: common, version: 1.0.0}"})
	t.Run("a sub-chart linked within is read", func(t *testing.T) {
		link(t, "../../common", filepathIn(t, root, "web/charts/common"))
		if _, _, err := LoadChart(root, HelmChart{Path: "web", Release: "web"}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a chart outside is not", func(t *testing.T) {
		for _, path := range []string{"../x", outside, "web/../../x"} {
			if _, _, err := LoadChart(root, HelmChart{Path: path, Release: "web"}); err == nil {
				t.Errorf("%s was read", path)
			}
		}
	})
	t.Run("values outside are not", func(t *testing.T) {
		link(t, outside+"/secret.yaml", filepathIn(t, root, "web/values-out.yaml"))
		for _, path := range []string{"../secret.yaml", outside + "/secret.yaml", "web/values-out.yaml"} {
			if _, _, err := LoadChart(root, HelmChart{Path: "web", Release: "web", Values: []string{path}}); err == nil {
				t.Errorf("%s was read", path)
			}
		}
	})
	t.Run("a template linked from outside is not", func(t *testing.T) {
		link(t, outside+"/secret.yaml", filepathIn(t, root, "web/templates/out.yaml"))
		if _, _, err := LoadChart(root, HelmChart{Path: "web", Release: "web"}); err == nil {
			t.Error("it was read")
		}
	})
	t.Run("directories that contain themselves end", func(t *testing.T) {
		link(t, ".", filepathIn(t, root, "common/files"))
		_, _, err := LoadChart(root, HelmChart{Path: "common", Release: "web"})
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("error %v", err)
		}
	})
}

// filepathIn is a name below root whose directory exists.
func filepathIn(t *testing.T, root, name string) string {
	t.Helper()
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoadChartRendersTheSameEachTime(t *testing.T) {
	t.Parallel()
	// The template changes the values that it is given.
	root := write(t, map[string]string{"web/Chart.yaml": chartYAML, "web/values.yaml": "a: {b: {c: 1}}",
		"web/templates/w.yaml": "{{ $_ := set .Values.a.b \"c\" (add1 .Values.a.b.c) }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {c: {{ .Values.a.b.c | quote }}}\n"})
	objs, changes, err := LoadChart(root, HelmChart{Path: "web", Release: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) > 0 || stringAt(objs[0].Object, "data", "c") != "2" {
		t.Errorf("changes %v, object %v", changes, objs[0].Object)
	}
}
