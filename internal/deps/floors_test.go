package deps_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/towline/towline/internal/"

// floors is the whole building, ground floor first. A package may import only
// packages on a lower floor, so neighbours on one floor never meet: they are
// introduced to each other in app.
var floors = [][]string{
	{"pipeline", "buildspec", "manifest", "artifact", "registry", "secret", "redact", "config", "checkout", "drain", "timetable", "rounds", "waittest"},
	{"definition", "kube", "store", "report", "probe", "client", "localkube", "forge", "codepipeline", "box", "dockerfile"},
	{"source", "engine", "build", "image", "deploy", "rule", "notify", "agent", "project", "attest", "function"},
	{"server", "awsapi", "lambda", "ui"},
	{"app"},
	{"cli"},
}

// heavy lists the dependencies that only one room may carry.
var heavy = map[string]string{
	"k8s.io/client-go": "kube",
	"database/sql":     "store",
	// A database on somebody's server, made for a build.
	"database/sql/driver":                      "build",
	"github.com/go-sql-driver/mysql":           "build",
	"github.com/dbos-inc/dbos-transact-golang": "engine",
	"github.com/distribution/distribution/v3":  "registry",
	"helm.sh/helm":                             "manifest",
	"sigs.k8s.io/kustomize":                    "manifest",
	"github.com/spf13/cobra":                   "cli",
	"github.com/wneessen/go-mail":              "notify",
	"github.com/robfig/cron/v3":                "timetable",
	"github.com/danielgtaylor/huma/v2":         "server",
	"github.com/moby/buildkit":                 "dockerfile",
}

// junk lists the names of rooms that have no noun.
var junk = []string{"util", "utils", "common", "helper", "helpers", "shared", "misc", "base", "types", "models"}

func TestImportsPointDown(t *testing.T) {
	floorOf := map[string]int{}
	for i, rooms := range floors {
		for _, room := range rooms {
			floorOf[room] = i
		}
	}
	seen := map[string]bool{}
	for file, imports := range sources(t) {
		dir := path.Dir(file)
		room, _, _ := strings.Cut(dir, "/")
		seen[room] = true
		floor, ok := floorOf[room]
		if !ok {
			t.Errorf("%s has no floor; give %s one here and in ARCHITECTURE.md", file, room)
			continue
		}
		for elem := range strings.SplitSeq(dir, "/") {
			if slices.Contains(junk, elem) {
				t.Errorf("%s: name the noun instead of %q", file, elem)
			}
		}
		for _, imp := range imports {
			if owner := ownerOf(imp); owner != "" && room != owner {
				t.Errorf("%s imports %s, which only %s may carry", file, imp, owner)
			}
			dep, ours := strings.CutPrefix(imp, module)
			dep, _, _ = strings.Cut(dep, "/")
			if ours && dep != room && floorOf[dep] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", file, floor, dep, floorOf[dep])
			}
		}
	}
	for room := range floorOf {
		if !seen[room] {
			t.Errorf("room %s is on the plan but has no code", room)
		}
	}
}

// ownerOf is the one room that may import a package, by the longest of heavy's
// names that it begins with; "" when all may.
func ownerOf(imp string) string {
	longest := ""
	for dep := range heavy {
		if (imp == dep || strings.HasPrefix(imp, dep+"/")) && len(dep) > len(longest) {
			longest = dep
		}
	}
	return heavy[longest]
}

// sources returns the imports of every non-test file under internal. It parses
// in this process, not through go list, so that the go command sees the files
// the test read and drops its cached result when one of them changes.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "deps") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(name), "../")
		files[rel] = nil
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			files[rel] = append(files[rel], imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
