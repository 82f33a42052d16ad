package attest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/attest"
)

// TestSigstoreVerifiesTheBundles has Sigstore's own library, in a program of a
// module of its own, check what is attached to an image.
func TestSigstoreVerifiesTheBundles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "verify")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "sigstore")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build testdata/sigstore (Go modules are needed, from the cache or a proxy): %v\n%s", err, out)
	}
	b := setup(t)
	image := b.attest(b.push(application))
	good, other := filepath.Join(dir, "good.pub"), filepath.Join(dir, "other.pub")
	must(t, os.WriteFile(good, []byte(b.signer.Public.PEM()), 0o600))
	must(t, os.WriteFile(other, []byte(signer(t).Public.PEM()), 0o600))
	digest := image.Reference.DigestStr()[len("sha256:"):]
	for _, kind := range []string{attest.PredicateProvenance, attest.PredicateMaterials} {
		all := referrers(t, image.Reference, "sigstore", kind)
		if len(all) != 1 {
			t.Fatalf("%d bundles of %s", len(all), kind)
		}
		file := filepath.Join(dir, "bundle.json")
		must(t, os.WriteFile(file, all[0].blob, 0o600))
		for name, c := range map[string]struct {
			key, digest, want string
		}{
			"right":          {good, digest, "verified: " + kind},
			"another key":    {other, digest, "refused: failed to verify signature"},
			"another digest": {good, strings.Repeat("0", 64), "refused: "},
		} {
			out, err := exec.CommandContext(t.Context(), program, file, c.key, c.digest).CombinedOutput()
			if !strings.HasPrefix(string(out), c.want) {
				t.Errorf("%s, %s: %v %s", kind, name, err, out)
			}
		}
	}
}
