package dockerfile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/towline/towline/internal/dockerfile"
)

func TestWays(t *testing.T) {
	t.Parallel()
	ways(t, map[string]func(t *testing.T, p place){
		"runs commands and copies files":                  runsAndCopies,
		"makes the same image of the same source":         sameImage,
		"builds no step a second time":                    caches,
		"sees a changed file of the same size and time":   seesChanges,
		"mounts secrets and keeps them nowhere":           hidesSecrets,
		"hides secrets in the log and in the error":       masksSecrets,
		"names the command that fails":                    namesCommand,
		"takes nothing that a command quotes for a cause": quotesCauses,
		"refuses an image that is too large":              refusesLarge,
		"names the line of a Dockerfile that is wrong":    namesLine,
		"builds the stage that is asked for":              buildsStage,
		"refuses a base that does not exist":              refusesBase,
		"takes a base from an OCI layout":                 takesLayout,
		"ends with the context":                           ends,
		"makes an image for each platform":                twoPlatforms,
		"takes no file from outside of the source":        staysInside,
		"refuses a secret that is not given":              refusesSecret,
		"leaves out what .dockerignore names":             ignores,
		"takes a Dockerfile of any name as it is":         anyName,
		"tells of a registry that does not answer":        unreachable,
		"pulls a private base with the credential for it": pullsPrivate,
	})
}

func runsAndCopies(t *testing.T, p place) {
	b, said := p.build(map[string]string{
		"Dockerfile": "FROM BASE\nARG WHO\nARG SOURCE_DATE_EPOCH\nCOPY greeting /greeting\nRUN echo $WHO $SOURCE_DATE_EPOCH >> /greeting && echo built for $WHO\nENTRYPOINT [\"/bin/cat\", \"/greeting\"]\n",
		"greeting":   "hello\n",
	})
	b.Args = map[string]string{"WHO": "you"}
	image := p.made(b, said)
	if got, want := files(t, image)["greeting"], "hello\nyou 1700000000\n"; got != want {
		t.Errorf("the file is %q; want %q\n%s", got, want, said)
	}
	cfg, err := image.ConfigFile()
	must(t, err)
	if d := cmp.Diff([]string{"/bin/cat", "/greeting"}, cfg.Config.Entrypoint); d != "" {
		t.Errorf("entrypoint (-want +got):\n%s", d)
	}
	if !strings.Contains(said.String(), "built for you\n") {
		t.Errorf("the log does not have the command's output:\n%s", said)
	}
}

func sameImage(t *testing.T, p place) {
	var digests []string
	for i := range 2 {
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY a /a\nRUN echo b > /b\n", "a": "1"})
		must(t, os.Chtimes(filepath.Join(b.Dir, "a"), time.Time{}, time.Unix(int64(1_000_000_000+i*1000), 0)))
		b.NoCache = true
		image := p.made(b, said)
		digests = append(digests, digestOf(t, image))
		layers, err := image.Layers()
		must(t, err)
		bottom, err := layers[0].DiffID()
		must(t, err)
		base, err := busybox(t).Layers()
		must(t, err)
		if want, err := base[0].DiffID(); err != nil || bottom != want {
			t.Errorf("the base's layer is %s; want it as it is, %s, %v", bottom, want, err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("digests %v", digests)
	}
}

func caches(t *testing.T, p place) {
	text := map[string]string{"Dockerfile": "FROM BASE\nRUN echo once only > /file\n"}
	b, said := p.build(text)
	first := p.made(b, said)
	b, said = p.build(text)
	second := p.made(b, said)
	if !strings.Contains(strings.ToLower(said.String()), "cache") {
		t.Errorf("the log tells of no cache:\n%s", said)
	}
	if d := cmp.Diff(digestOf(t, first), digestOf(t, second)); d != "" {
		t.Errorf("digests differ:\n%s", d)
	}
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	must(t, err)
	return digest.String()
}

func seesChanges(t *testing.T, p place) {
	for _, text := range []string{"one", "two"} {
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY file /file\n", "file": text})
		must(t, os.Chtimes(filepath.Join(b.Dir, "file"), time.Unix(0, 0), time.Unix(0, 0)))
		if got := files(t, p.made(b, said))["file"]; got != text {
			t.Errorf("the image has %q; want %q", got, text)
		}
	}
}

const hush = "correct-horse-battery"

func hidesSecrets(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN --mount=type=secret,id=npm grep -c battery /run/secrets/npm > /count\n"})
	b.Secrets = map[string][]byte{"npm": []byte(hush)}
	image := p.made(b, said)
	if got := files(t, image)["count"]; got != "1\n" {
		t.Errorf("the command saw %q", got)
	}
	raw, err := image.RawConfigFile()
	must(t, err)
	all := [][]byte{raw, []byte(said.String())}
	layers, err := image.Layers()
	must(t, err)
	for _, l := range layers {
		r, err := l.Uncompressed()
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		all = append(all, text)
	}
	for i, text := range all {
		if bytes.Contains(text, []byte(hush)) {
			t.Errorf("the secret is in part %d of the image or in the log", i)
		}
	}
}

func masksSecrets(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN --mount=type=secret,id=npm cat /run/secrets/npm && echo && echo next && false " + hush + "\n"})
	b.Secrets = map[string][]byte{"npm": []byte(hush)}
	message := p.refused(b, said)
	if text := said.String() + message; strings.Contains(text, hush) || !strings.Contains(said.String(), "***") || !strings.Contains(said.String(), "next\n") {
		t.Errorf("the log and the error are not masked:\n%s\n%s", said, message)
	}
}

func namesCommand(t *testing.T, p place) {
	b, said := p.build(map[string]string{"docker/Dockerfile": "FROM BASE\n\nRUN echo first && \\\n  exit 3\n"})
	b.File = filepath.Join(b.Dir, "docker", "Dockerfile")
	message := p.refused(b, said)
	if !strings.HasPrefix(message, "docker/Dockerfile:") || !strings.Contains(message, "3") || !strings.Contains(message, "RUN echo first") {
		t.Errorf("message %q", message)
	}
}

func quotesCauses(t *testing.T, p place) {
	for _, code := range []string{"3", "255"} {
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN echo \"connection refused\" && echo \"x\": no space left on device && exit " + code + "\n"})
		if message := p.refused(b, said); !strings.Contains(message, code) {
			t.Errorf("message %q", message)
		}
	}
}

func refusesLarge(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN dd if=/dev/urandom of=/fill bs=1M count=8 2>/dev/null\n"})
	b.Limits.Image = 4 << 20
	if message := p.refused(b, said); !strings.Contains(message, "larger than the limit of 4194304 bytes") {
		t.Errorf("message %q", message)
	}
}

func namesLine(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPPY a /a\n", "a": "1"})
	if message := p.refused(b, said); !strings.HasPrefix(message, "Dockerfile:") || !strings.Contains(message, "COPPY") {
		t.Errorf("message %q", message)
	}
}

func buildsStage(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE AS one\nRUN echo 1 > /one\nFROM BASE AS two\nRUN exit 1\n"})
	b.Target = "one"
	if got := files(t, p.made(b, said))["one"]; got != "1\n" {
		t.Errorf("the file is %q", got)
	}
	b, said = p.build(map[string]string{"Dockerfile": "FROM BASE AS one\n"})
	b.Target = "three"
	if message := p.refused(b, said); !strings.Contains(message, "three") {
		t.Errorf("message %q", message)
	}
}

func refusesBase(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE-not\n"})
	if message := p.refused(b, said); !strings.Contains(message, "busybox:1-not") {
		t.Errorf("message %q", message)
	}
}

func takesLayout(t *testing.T, p place) {
	dir := filepath.Join(t.TempDir(), "layout")
	to, err := layout.Write(dir, empty.Index)
	must(t, err)
	image := busybox(t)
	must(t, to.AppendImage(image))
	b, said := p.build(map[string]string{"Dockerfile": "FROM jre:17\nRUN echo there > /file\n"})
	b.Layouts = map[string]dockerfile.Layout{"jre:17": {Dir: dir, Digest: digestOf(t, image)}}
	if got := files(t, p.made(b, said))["file"]; got != "there\n" {
		t.Errorf("the file is %q", got)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("something was left in the layout: %v", entries)
	}
}

func ends(t *testing.T, p place) {
	mark := strconv.FormatInt(time.Now().UnixNano()%1_000_000_000+1_000_000_000, 10)
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun && sleep " + mark + "\n"})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stopped := errors.New("stopped by hand")
	b.Log = onText{said, "begun\n", func() { cancel(stopped) }}
	if _, err := p.builder.Build(ctx, b); !errors.Is(err, stopped) {
		t.Fatalf("got %v; want the cause\n%s", err, said)
	}
	gone(t, mark)
}

func twoPlatforms(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", "amd64": "x", "arm64": "a"})
	b.Platforms = []string{"linux/amd64", "linux/arm64"}
	if _, err := p.builder.Build(t.Context(), b); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	index, err := layout.ImageIndexFromPath(b.Output)
	must(t, err)
	outer, err := index.IndexManifest()
	must(t, err)
	inner, err := index.ImageIndex(outer.Manifests[0].Digest)
	must(t, err)
	manifest, err := inner.IndexManifest()
	must(t, err)
	got := map[string]string{}
	for _, d := range manifest.Manifests {
		image, err := inner.Image(d.Digest)
		must(t, err)
		got[d.Platform.Architecture] = files(t, image)["arch"]
	}
	if d := cmp.Diff(map[string]string{"amd64": "x", "arm64": "a"}, got); d != "" {
		t.Errorf("images (-want +got):\n%s", d)
	}
}

func staysInside(t *testing.T, p place) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("the host's"), 0o644))
	b, _ := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY . /src/\n", "a": "1"})
	must(t, os.Symlink(secret, filepath.Join(b.Dir, "link")))
	must(t, os.Symlink(filepath.Dir(secret), filepath.Join(b.Dir, "dir")))
	// It may be refused, or be a link that leads nowhere.
	if _, err := p.builder.Build(t.Context(), b); err == nil {
		for name, text := range files(t, only(t, b.Output)) {
			if strings.Contains(text, "the host's") {
				t.Errorf("%s has a file of the host", name)
			}
		}
	}
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY link /x\n"})
	must(t, os.Symlink(secret, filepath.Join(b.Dir, "link")))
	p.refused(b, said)
	b, said = p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY ../../../../../../../.." + secret + " /x\n"})
	p.refused(b, said)
}

func refusesSecret(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN --mount=type=secret,id=npm,required=true cat /run/secrets/npm\n"})
	if message := p.refused(b, said); !strings.Contains(message, "npm") {
		t.Errorf("message %q", message)
	}
}

func ignores(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nCOPY . /src/\n", ".dockerignore": "*.key\n", "a.key": "k", "a": "1"})
	got := files(t, p.made(b, said))
	if _, has := got["src/a.key"]; has || got["src/a"] != "1" {
		t.Errorf("files %v", got)
	}
}

func anyName(t *testing.T, p place) {
	b, said := p.build(map[string]string{
		"Dockerfile.in":              "FROM BASE\n#include \"/etc/hostname\"\nCOPY . /src\nRUN echo \"__LINE__ is kept\" > /file\n",
		"Dockerfile.in.dockerignore": "*.key\n", "a": "1", "a.key": "2",
	})
	b.File = filepath.Join(b.Dir, "Dockerfile.in")
	got := files(t, p.made(b, said))
	if _, has := got["src/a.key"]; has || got["src/a"] != "1" || got["file"] != "__LINE__ is kept\n" {
		t.Errorf("files %q, %q, with a key: %v", got["src/a"], got["file"], has)
	}
}

func unreachable(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM 127.0.0.1:1/nothing:1\n"})
	_, err := p.builder.Build(t.Context(), b)
	if _, refused := errors.AsType[*dockerfile.RefusedError](err); err == nil || refused || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v\n%s", err, said)
	}
}

func pullsPrivate(t *testing.T, p place) {
	b, said := p.build(map[string]string{"Dockerfile": "FROM " + p.private + "/busybox:1\nRUN echo in > /file\n"})
	b.Credential = func(_ context.Context, host string) (dockerfile.Credential, error) {
		if host != p.private {
			return dockerfile.Credential{}, nil
		}
		return dockerfile.Credential{User: "puller", Password: hush}, nil
	}
	if got := files(t, p.made(b, said))["file"]; got != "in\n" {
		t.Errorf("the file is %q", got)
	}
	if strings.Contains(said.String(), hush) {
		t.Errorf("the password is in the log:\n%s", said)
	}
}
