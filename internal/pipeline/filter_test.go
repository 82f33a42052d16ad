package pipeline

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{"plain text matches itself alone", "main", []string{"main"}, []string{"Main", "mainline", "a/main", ""}},
		{"one star stays in its directory", "feature/*", []string{"feature/a", "feature/"}, []string{"feature/a/b", "feature", "x/feature/a"}},
		{"two stars cross directories", "feature/**", []string{"feature/a", "feature/a/b", "feature/"}, []string{"feature", "features/a"}},
		{"two stars alone match everything", "**", []string{"a", "a/b", ".github/x", ""}, nil},
		{"two stars before a slash ask for the slash", "**/README.md", []string{"a/README.md", "a/b/README.md"}, []string{"README.md", "aREADME.md"}},
		{"which a group makes optional", "{**/,}README.md", []string{"README.md", "a/b/README.md"}, []string{"aREADME.md"}},
		{"two stars in the middle", "common/**/*.js", []string{"common/a/b.js", "common/a/b/c.js"}, []string{"common/b.js", "common/a/b.ts"}},
		{"two stars need no slash beside them", "a**z", []string{"az", "abz", "ab/cz"}, []string{"ab"}},
		{"a star matches a leading dot", "*.yml", []string{".travis.yml", "a.yml"}, []string{"ci/a.yml"}},
		{"a question mark is one character", "v?", []string{"v1", "vü"}, []string{"v", "v10", "v/"}},
		{"a set is one of its characters", "v[0-9a]", []string{"v0", "v9", "va"}, []string{"vb", "v10", "v"}},
		{"a set that begins with ! is one of the others", "v[!0-9]", []string{"va", "v!"}, []string{"v0", "v/"}},
		{"a hyphen at the beginning or end of a set is a hyphen", "[-a][!-b][c-]", []string{"-cc", "aa-"}, []string{"b-c", "-bc"}},
		{"a bracket at the beginning of a set is a bracket", "[]x]", []string{"]", "x"}, []string{"["}},
		{"signs in a set mean themselves", `[*?\.^$]`, []string{"*", "?", `\`, ".", "^", "$"}, []string{"a", ""}},
		{"a range does not reach over the slash", "[+-9]", []string{"+", ".", "0", "9"}, []string{"/"}},
		{"a group is one of its patterns", "*.{js,ts*}", []string{"a.js", "a.ts", "a.tsx"}, []string{"a.jsx", "a."}},
		{"a backslash takes the meaning away", `a\*b\{\\`, []string{`a*b{\`}, []string{`axb{\`}},
		{"what means something to regular expressions alone means nothing", "a.b+(c)|d^$", []string{"a.b+(c)|d^$"}, []string{"axb", "d"}},
		{"a comma or closing brace outside of a group is itself", "a,b}", []string{"a,b}"}, []string{"a", "b"}},
		{"a line break is a character", "a*", []string{"a\nb"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &Globs{Includes: []string{tt.pattern}}
			if err := CheckGlob(tt.pattern); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.yes {
				if !g.Match(name) {
					t.Errorf("%q does not match %q", tt.pattern, name)
				}
			}
			for _, name := range tt.no {
				if g.Match(name) {
					t.Errorf("%q matches %q", tt.pattern, name)
				}
			}
		})
	}
	for _, bad := range []string{"", `a\`, "[a", "[", "[!", "[]", "{a", "{a,{b}}", "[a/b]", "[a-/]", "[z-a]", "a\xff", strings.Repeat("ü", maxGlob+1)} {
		if CheckGlob(bad) == nil {
			t.Errorf("%q passed", bad)
		}
		if bad != "" && (&Globs{Includes: []string{bad}}).Match(bad) {
			t.Errorf("%q, which cannot be read, matches itself", bad)
		}
	}
}

func TestGlobs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		globs  *Globs
		branch string
		want   bool
	}{
		{"nothing said lets everything through", nil, "main", true},
		{"nor do empty lists keep anything out", &Globs{}, "main", true},
		{"includes let through what they match", &Globs{Includes: []string{"main", "release/**"}}, "release/1", true},
		{"and nothing else", &Globs{Includes: []string{"main", "release/**"}}, "feature", false},
		{"excludes alone let everything else through", &Globs{Excludes: []string{"main"}}, "feature", true},
		{"but not what they match", &Globs{Excludes: []string{"main"}}, "main", false},
		{"excludes win over includes", &Globs{Includes: []string{"feature/**"}, Excludes: []string{"feature/wip/*"}}, "feature/wip/a", false},
		{"also over ones that are closer", &Globs{Includes: []string{"feature/a"}, Excludes: []string{"**"}}, "feature/a", false},
		{"also over the same pattern", &Globs{Includes: []string{"main"}, Excludes: []string{"main"}}, "main", false},
		{"what is in both lists' reach but not excluded is let through", &Globs{Includes: []string{"feature/**"}, Excludes: []string{"feature/wip/*"}}, "feature/b", true},
	} {
		if got := tt.globs.Match(tt.branch); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestPushFilter(t *testing.T) {
	t.Parallel()
	only := func(patterns ...string) *Globs { return &Globs{Includes: patterns} }
	without := func(patterns ...string) *Globs { return &Globs{Excludes: patterns} }
	push := func(branch string, paths ...string) PushedRef { return PushedRef{Branch: branch, Paths: paths} }
	tag := func(name string) PushedRef { return PushedRef{Tag: name} }
	for _, tt := range []struct {
		name   string
		filter PushFilter
		push   PushedRef
		want   bool
	}{
		{"a filter that says nothing lets each branch through", PushFilter{}, push("main"), true},
		{"but no tag", PushFilter{}, tag("v1"), false},
		{"a filter of branches lets its branches through", PushFilter{Branches: only("main")}, push("main"), true},
		{"and no others", PushFilter{Branches: only("main")}, push("side"), false},
		{"and no tag, even one of that name", PushFilter{Branches: only("main")}, tag("main"), false},
		{"a filter of tags lets its tags through", PushFilter{Tags: only("v*")}, tag("v1"), true},
		{"and no others", PushFilter{Tags: only("v*")}, tag("w1"), false},
		{"and no branch, even one of that name", PushFilter{Tags: only("v*")}, push("v1"), false},
		{"tags that are excluded leave all others", PushFilter{Tags: without("*-rc*")}, tag("v1"), true},
		{"a filter of both lets either through: the tag", PushFilter{Branches: only("main"), Tags: only("v*")}, tag("v1"), true},
		{"a filter of both lets either through: the branch", PushFilter{Branches: only("main"), Tags: only("v*")}, push("main"), true},
		{"files must match as well as the branch", PushFilter{Branches: only("main"), Paths: only("web/**")}, push("side", "web/a"), false},
		{"one file that matches is enough", PushFilter{Paths: only("web/**")}, push("main", "docs/a", "web/a"), true},
		{"none is not", PushFilter{Paths: only("web/**")}, push("main", "docs/a"), false},
		{"a file that is excluded does not count", PushFilter{Paths: &Globs{Includes: []string{"web/**"}, Excludes: []string{"**/README.md"}}}, push("main", "web/README.md"), false},
		{"but keeps no other file from counting", PushFilter{Paths: &Globs{Includes: []string{"web/**"}, Excludes: []string{"**/README.md"}}}, push("main", "web/README.md", "web/a"), true},
		{"excluded files alone let no push of nothing else through", PushFilter{Paths: without("docs/**")}, push("main", "docs/a", "docs/b"), false},
		{"excluded files alone let a push of others through", PushFilter{Paths: without("docs/**")}, push("main", "docs/a", "a"), true},
		{"a push that changes nothing matches no file", PushFilter{Paths: without("docs/**")}, push("main"), false},
		{"a list that was cut might hold a match", PushFilter{Paths: only("web/**")}, PushedRef{Branch: "main", Paths: []string{"a"}, Cut: true}, true},
		{"but does not make up for the branch", PushFilter{Branches: only("main"), Paths: only("web/**")}, PushedRef{Branch: "side", Cut: true}, false},
		{"files do not matter for a tag", PushFilter{Tags: only("v*"), Paths: only("web/**")}, tag("v1"), true},
		{"a filter of files and tags lets a branch through by its files", PushFilter{Tags: only("v*"), Paths: only("web/**")}, push("main", "web/a"), true},
	} {
		if got := tt.filter.Match(tt.push); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestPullRequestFilter(t *testing.T) {
	t.Parallel()
	opened := ChangedPullRequest{Event: PullRequestOpen, Branch: "main", Paths: []string{"web/a"}}
	for _, tt := range []struct {
		name   string
		filter PullRequestFilter
		want   bool
	}{
		{"a filter that says nothing lets all events through", PullRequestFilter{}, true},
		{"one of its events is enough", PullRequestFilter{Events: []PullRequestEvent{PullRequestClosed, PullRequestOpen}}, true},
		{"another event is not let through", PullRequestFilter{Events: []PullRequestEvent{PullRequestClosed, PullRequestUpdated}}, false},
		{"branches are those that it is to be merged into", PullRequestFilter{Branches: &Globs{Includes: []string{"main"}}}, true},
		{"an excluded branch", PullRequestFilter{Branches: &Globs{Includes: []string{"**"}, Excludes: []string{"main"}}}, false},
		{"files that match", PullRequestFilter{Paths: &Globs{Includes: []string{"web/*"}}}, true},
		{"files that do not", PullRequestFilter{Paths: &Globs{Includes: []string{"docs/*"}}}, false},
		{"all must match", PullRequestFilter{Events: []PullRequestEvent{PullRequestOpen}, Branches: &Globs{Includes: []string{"main"}}, Paths: &Globs{Includes: []string{"docs/*"}}}, false},
	} {
		if got := tt.filter.Match(opened); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, s := range []string{"main", "feature/**", "**/*.js", "*.{js,ts}", "[a-z]?", `\*`, "[!a-]", "{a,[b],**}", "[", "a\\", "{{"} {
		f.Add(s, "feature/a.js")
	}
	quote := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`)
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if err := CheckGlob(pattern); err == nil {
			both := &Globs{Includes: []string{pattern}, Excludes: []string{pattern}}
			if both.Match(name) {
				t.Errorf("%q is let through though %q excludes it", name, pattern)
			}
			in, out := &Globs{Includes: []string{pattern}}, &Globs{Excludes: []string{pattern}}
			if in.Match(name) == out.Match(name) {
				t.Errorf("%q includes %q and excludes it, or neither", pattern, name)
			}
			if !strings.Contains(pattern, "**") && !strings.Contains(pattern, "/") && strings.Contains(name, "/") && in.Match(name) {
				t.Errorf("%q matches %q over a slash", pattern, name)
			}
		}
		if quoted := quote.Replace(name); utf8.ValidString(name) && CheckGlob(quoted) == nil {
			if !(&Globs{Includes: []string{quoted}}).Match(name) || (&Globs{Includes: []string{quoted}}).Match(name+"x") {
				t.Errorf("%q does not match %q alone", quoted, name)
			}
		}
	})
}
