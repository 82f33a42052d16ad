package deps_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Rooms whose tests need a cluster must be among those that `make test` gives
// one to.
func TestTheMakefileKnowsWhoNeedsACluster(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ON_CLUSTER\s*:=\s*(\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the Makefile has no ON_CLUSTER")
	}
	listed := regexp.MustCompile(strings.ReplaceAll(string(found[1]), "$$", "$"))
	checked := 0
	err = filepath.WalkDir("..", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range parsed.Imports {
			if imported.Path.Value != `"`+module+`kube/kubetest"` {
				continue
			}
			checked++
			room := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")
			if !listed.MatchString(module + room) {
				t.Errorf("%s needs a cluster: add its room to ON_CLUSTER in the Makefile", file)
			}
		}
		return nil
	})
	if err != nil || checked == 0 {
		t.Fatal(checked, err)
	}
}
