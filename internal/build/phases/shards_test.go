package phases_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build/phases"
)

func testFiles(n int) []string {
	var files []string
	for i := range n {
		files = append(files, fmt.Sprintf("tests/test_%03d.py", i))
	}
	return files
}

func TestShareGivesEachFileToOneShard(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"equal-distribution", "stability"} {
		files := testFiles(100)
		var all []string
		least, most := len(files), 0
		for shard := range 7 {
			mine, err := phases.Share(append(slices.Clone(files), files[3]), strategy, shard, 7)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, mine...)
			least, most = min(least, len(mine)), max(most, len(mine))
		}
		slices.Sort(all)
		if diff := cmp.Diff(files, all); diff != "" {
			t.Errorf("%s (-want +got)\n%s", strategy, diff)
		}
		if strategy == "equal-distribution" && most-least > 1 || least == 0 {
			t.Errorf("%s: between %d and %d files", strategy, least, most)
		}
	}
	if _, err := phases.Share(nil, "equal-distribution", 0, 1); err != nil {
		t.Error(err)
	}
	if _, err := phases.Share(testFiles(1), "fair", 0, 1); err == nil {
		t.Error("an unknown strategy is taken")
	}
}

func TestShareByStabilityMovesFewFiles(t *testing.T) {
	t.Parallel()
	home := func(files []string, shards int) map[string]int {
		of := map[string]int{}
		for shard := range shards {
			mine, err := phases.Share(files, "stability", shard, shards)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range mine {
				of[name] = shard
			}
		}
		return of
	}
	files := testFiles(200)
	all, fewer, wider := home(files, 5), home(files[50:], 5), home(files, 6)
	moved := 0
	for _, name := range files[50:] {
		if fewer[name] != all[name] {
			t.Errorf("%s moves when others go", name)
		}
	}
	for _, name := range files {
		if wider[name] != all[name] {
			moved++
		}
	}
	if moved == 0 || moved > 70 { // a sixth of them is 33
		t.Errorf("%d of 200 files move to a sixth shard", moved)
	}
}

func TestTestsRun(t *testing.T) {
	for name, c := range map[string]struct {
		env  string // shard/shards
		args []string
		code int
		out  string
		errs string
	}{
		"runs all tests outside a fan-out": {
			"", []string{"--files-search", "printf 'b\\na x\\n\\nb\\n'", "--test-command", "printf '<%s>'"}, 0, "<a x><b>", "",
		},
		"runs its share": {
			"1/2", []string{"--files-search=printf 'a\\nb\\nc\\n'", "--test-command=echo"}, 0, "b\n", "",
		},
		"leaves the files to a command that asks for them": {
			"0/2", []string{"--files-search", "printf 'a\\nb\\nc\\n'", "--test-command", "echo \"$CODEBUILD_CURRENT_SHARD_FILES\"\n"}, 0, "a\nc\n", "",
		},
		"has the exit code of the tests": {"", []string{"--files-search", "echo a", "--test-command", "exit 5;"}, 5, "", ""},
		"has nothing to do": {"3/4", []string{"--files-search", "echo a", "--test-command", "echo"}, 0,
			"codebuild-tests-run: no file with tests is this build's share\n", ""},
		"fails without any tests": {"", []string{"--files-search", "true", "--test-command", "echo"}, 1, "",
			"codebuild-tests-run: true finds no file with tests\n"},
		"fails when the search does": {"", []string{"--files-search", "exit 3", "--test-command", "echo"}, 1, "",
			"codebuild-tests-run: search the files with tests by exit 3: exit status 3\n"},
		"asks for its commands": {"", []string{"--test-command", "echo"}, 2, "",
			"codebuild-tests-run: give --test-command and --files-search, each as one word in quotes\n"},
		"knows two strategies": {"", []string{"--files-search", "echo a", "--test-command", "echo", "--sharding-strategy", "fair"}, 1, "",
			"codebuild-tests-run: there is no strategy \"fair\"; there are equal-distribution and stability\n"},
		"refuses a share that is none": {"2/2", []string{"--files-search", "echo a", "--test-command", "echo"}, 1, "",
			"codebuild-tests-run: TOWLINE_SHARD is \"2\" and TOWLINE_SHARDS is \"2\", which is no share\n"},
	} {
		t.Run(name, func(t *testing.T) {
			shard, shards, _ := strings.Cut(c.env, "/")
			t.Setenv("TOWLINE_SHARD", shard)
			t.Setenv("TOWLINE_SHARDS", shards)
			var out, errs bytes.Buffer
			code, ok := phases.Tool(t.Context(), append([]string{phases.TestsRun}, c.args...), &out, &errs)
			if !ok || code != c.code {
				t.Errorf("exit code %d", code)
			}
			if diff := cmp.Diff([]string{c.out, c.errs}, []string{out.String(), errs.String()}); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}
