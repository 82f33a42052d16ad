package localkube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzTrustRegistry: whatever is accepted stays one file within certs.d, and
// one entry within the file.
func FuzzTrustRegistry(f *testing.F) {
	f.Add("r.local:5000", "http://10.78.0.1:5000", "Basic eDp5")
	f.Add("../../etc", "https://r.local/v2", "")
	f.Add("r.local", "http://[::1]:5000/\"]\n[x]", "Basic \"x\"\r\n")
	f.Fuzz(func(t *testing.T, host, address, authorization string) {
		c := newCluster(t, Config{Name: "fuzz", Dir: t.TempDir()})
		if err := writeJSON(c.paths.state(), state{Name: "fuzz"}); err != nil {
			t.Fatal(err)
		}
		if err := c.TrustRegistry(t.Context(), host, address, authorization); err != nil {
			return
		}
		files, err := filepath.Glob(filepath.Join(c.paths.certsD(), "*", "hosts.toml"))
		if err != nil || len(files) != 1 {
			t.Fatalf("host %q wrote %v, %v", host, files, err)
		}
		want := 4
		if authorization != "" {
			want = 6
		}
		if text := read(t, files[0]); strings.Count(text, "\n") != want || strings.Count(text, "[host.") != want/2-1 {
			t.Errorf("host %q, address %q, authorization %q wrote\n%s", host, address, authorization, text)
		}
		if entries, err := os.ReadDir(c.config.Dir); err != nil || len(entries) != 2 {
			t.Errorf("host %q: the state directory holds %v, %v", host, entries, err)
		}
	})
}

func FuzzParseTrees(f *testing.F) {
	f.Add(hybridMountinfo)
	f.Add("1 - cgroup\n - - -\n")
	f.Fuzz(func(t *testing.T, text string) {
		trees, err := parseTrees(strings.NewReader(text))
		if err == nil && len(trees) == 0 {
			t.Error("no trees and no error")
		}
		for _, tree := range trees {
			if !strings.HasPrefix(tree.mount, cgroupRoot) {
				t.Errorf("%q is not a control group", tree.mount)
			}
		}
	})
}
