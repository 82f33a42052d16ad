//go:build linux

package phases

import "testing"

func TestSatisfiesKnowsWhatABuildspecMeansByAVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wanted, found string
		want          bool
	}{
		{"latest", "1.2.3", true},
		{"1.22", "1.22", true},
		{"1.22", "1.22.5", true},
		{"1.22", "1.2", false},
		{"1.2", "1.22.5", false},
		{"3.x", "3.11.2", true},
		{"3.x", "2.7.18", false},
		{"18", "18.19.0", true},
		{"18", "20.1.0", false},
		{"corretto17", "17.0.9", true},
		{"corretto8", "1.8.0_392", true},
		{"openjdk11", "17.0.9", false},
		{"8.0", "8.0.101", true},
		{"1.22.x", "1.22", true},
	} {
		if got := satisfies(c.wanted, c.found); got != c.want {
			t.Errorf("satisfies(%q, %q) is %v", c.wanted, c.found, got)
		}
	}
}

func TestQuestionsFindTheVersionInWhatToolsSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ says, want string }{
		"golang": {"go version go1.26.1 linux/amd64\n", "1.26.1"},
		"java":   {"openjdk version \"17.0.9\" 2023-10-17\nOpenJDK Runtime Environment (build 17.0.9+9)\n", "17.0.9"},
		"nodejs": {"v18.19.0\n", "18.19.0"},
		"python": {"Python 3.11.2\n", "3.11.2"},
		"php":    {"PHP 8.2.7 (cli) (built: Jun  9 2023)\n", "8.2.7"},
		"ruby":   {"ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]\n", "3.1.2p20"},
		"dotnet": {"8.0.101\n", "8.0.101"},
		"docker": {"Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24"},
	} {
		got := questions[name].version.FindStringSubmatch(c.says)
		if len(got) != 2 || got[1] != c.want {
			t.Errorf("%s: got %q, want %s", name, got, c.want)
		}
	}
}
