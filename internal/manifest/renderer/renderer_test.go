package renderer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/manifest"
)

// TestMain is the process that renders when the tests start it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func setup(t *testing.T, files map[string]string) (Renderer, string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Renderer{Command: []string{os.Args[0], "serve"}}, root
}

const chartYAML = "{apiVersion: v2, name: web, version: 1.0.0}"

var web = manifest.HelmChart{Path: "web", Release: "web", Set: map[string]any{"replicas": 3, "name": "a: b"}}

func TestLoadChartIsTheSameAsInThisProcess(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"objects and changes": {"web/Chart.yaml": chartYAML, "web/crds/x.yaml": "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}}",
			"web/templates/a.yaml": "{{ $_ := lookup \"v1\" \"Secret\" \"a\" \"b\" }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {n: {{ .Values.replicas | quote }}, s: {{ .Values.name | quote }}}\n"},
		"an error in a template": {"web/Chart.yaml": chartYAML, "web/templates/a.yaml": "a:\n  {{ .Values.a.b.c }}\n"},
		"several errors":         {"web/Chart.yaml": chartYAML, "web/templates/a.yaml": "kind: X\n", "web/templates/b.yaml": "kind: Y\n"},
		"no chart":               {"other/Chart.yaml": chartYAML},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, root := setup(t, files)
			wantObjects, wantChanges, wantErr := manifest.LoadChart(root, web)
			objs, changes, err := r.LoadChart(t.Context(), root, web)
			if diff := cmp.Diff(wantObjects, objs); diff != "" {
				t.Errorf("objects (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(wantChanges, changes); diff != "" {
				t.Errorf("changes (-want +got)\n%s", diff)
			}
			if fmt.Sprint(wantErr) != fmt.Sprint(err) {
				t.Errorf("error %v, want %v", err, wantErr)
			}
			if _, ok := errors.AsType[*manifest.Error](err); ok != (wantErr != nil) {
				t.Errorf("error %#v is not the user's", err)
			}
		})
	}
}

func TestLoadChartEndsWhatTakesTooMuch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ template, want string }{
		"a template that calls itself": {"{{ tpl .Values.itself . }}", "web: rendering the chart takes too much memory: does a template call itself through tpl, or repeat something too often?"},
		"text without an end":          {`{{ repeat 4000000000 "x" }}`, "web: rendering the chart takes too much memory: does a template call itself through tpl, or repeat something too often?"},
		"a loop without an end":        {"{{ range until 30000 }}{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}{{ end }}", "web: rendering the chart takes longer than 2s: does a template count too far?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, root := setup(t, map[string]string{"web/Chart.yaml": chartYAML, "web/values.yaml": "itself: '{{ tpl .Values.itself . }}'\n", "web/templates/a.yaml": tc.template})
			if strings.Contains(tc.want, "2s") {
				r.Timeout = 2 * time.Second
			}
			_, _, err := r.LoadChart(t.Context(), root, web)
			if _, ok := errors.AsType[*manifest.Error](err); !ok || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestLoadChartHasNoEnvironment(t *testing.T) {
	t.Setenv("TOWLINE_TEST_SECRET", "s3cr3t")
	r, root := setup(t, map[string]string{"web/Chart.yaml": chartYAML, "web/templates/a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}}"})
	r.Command = []string{"/bin/sh", "-c", `test -z "$TOWLINE_TEST_SECRET" && exec "$0" serve`, os.Args[0]}
	if _, _, err := r.LoadChart(t.Context(), root, web); err != nil {
		t.Error(err)
	}
}

func TestLoadChartThatIsStoppedSaysWhy(t *testing.T) {
	t.Parallel()
	r, root := setup(t, nil)
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, _, err := r.LoadChart(ctx, root, web); !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
}

func TestLoadChartWithoutTheProgramIsAFault(t *testing.T) {
	t.Parallel()
	r, root := setup(t, nil)
	r.Command = []string{"/does/not/exist"}
	_, _, err := r.LoadChart(t.Context(), root, web)
	if _, ok := errors.AsType[*manifest.Error](err); err == nil || ok {
		t.Errorf("error %v", err)
	}
}
