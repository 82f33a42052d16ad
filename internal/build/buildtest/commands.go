package buildtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
)

func (s suite) commands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		build   func(*build.Build)
		printed []string
	}{
		"share one shell through all phases": {func(b *build.Build) {
			b.Phases = []build.Phase{
				{Name: "install", Commands: []string{"mkdir -p a/b", "cd a", "here=1; export there=2", "greet() { echo hello $1; }"}},
				{Name: "build", Commands: []string{"cd b", `echo "${PWD#"$CODEBUILD_SRC_DIR"} $here $there"`, "greet you", "false || true"}},
			}
		}, []string{"/a/b 1 2", "hello you"}},
		"have a shell each in version 0.1": {func(b *build.Build) {
			b.Separate = true
			b.Phases[0].Commands = []string{"mkdir a; cd a; export here=1", `echo "${PWD#"$CODEBUILD_SRC_DIR"}-$here"`}
		}, []string{"-"}},
		"go on after exit 0, with the exported variables and the directory": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"mkdir a; cd a; export here=\"it's\"; exit 0", `echo "${PWD#"$CODEBUILD_SRC_DIR"} $here"`}
		}, []string{"/a it's"}},
		"may be scripts of several lines": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"for i in 1 2; do\n  echo $i\ndone\n"}
		}, []string{"1", "2"}},
		"run in the shell that is named": {func(b *build.Build) {
			b.Shell = "bash"
			b.Phases[0].Commands = []string{"x=(a b c); echo ${#x[@]}"}
		}, []string{"3"}},
		"read nothing from their input": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"cat; echo end", "read x || echo nothing"}
		}, []string{"end", "nothing"}},
		"may switch tracing on": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"set +x -u", "echo $((1+1))"}
		}, []string{"2"}},
		"see the signals that programs expect": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"yes | head -n 1", "echo $?"}
		}, []string{"y", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(t)
			c.build(&b)
			ended := s.run(t, b)
			if p, failed := ended.Failed(); failed {
				t.Errorf("phase %s failed: %+v", p.Name, p.Failure)
			}
			if diff := cmp.Diff(c.printed, printed(t, b)); diff != "" {
				t.Error("printed (-want +got)\n", diff)
			}
		})
	}
	t.Run("tell the values of variables at the end", func(t *testing.T) {
		t.Parallel()
		b := New(t, "export VERSION=1.2 ; plain='a  b'", "printf 'x\\ny' > f; LINES2=$(cat f)", "cd /")
		b.Exported = []string{"VERSION", "plain", "LINES2", "unset"}
		b.Expand = []string{"web-$VERSION", "", `$(echo "$plain")`, `"quoted"`}
		ended := s.run(t, b)
		if diff := cmp.Diff(map[string]string{"VERSION": "1.2", "plain": "a  b", "LINES2": "x\ny", "unset": ""}, ended.Exported); diff != "" {
			t.Error("exported (-want +got)\n", diff)
		}
		if diff := cmp.Diff([]string{"web-1.2", "", "a  b", `"quoted"`}, ended.Expanded); diff != "" {
			t.Error("expanded (-want +got)\n", diff)
		}
	})
}
