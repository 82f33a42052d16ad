package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/attest"
)

var application = files{"web.txt": "hello"}

func TestAnImageThatWasAttestedIsVerified(t *testing.T) {
	t.Parallel()
	b := setup(t)
	image := b.attest(b.push(application))
	got, err := b.verify(image)
	must(t, err)
	want := attest.Provenance{
		BuildDefinition: attest.BuildDefinition{
			BuildType: "https://towline.dev/buildtypes/image/v1",
			ExternalParameters: attest.Parameters{
				Source: "https://towline.example.com/git/web.git", Branch: "main", Pipeline: "web", Buildspec: "buildspec.yml",
				Repository: b.host + "/web", Base: "debian:12", Path: "/app",
			},
			InternalParameters: attest.Internals{Repository: "web", Execution: "web-7", Stage: "Image", Action: "image"},
			ResolvedDependencies: []attest.Material{
				{Name: "source", URI: "git+https://towline.example.com/git/web.git@refs/heads/main", Digest: map[string]string{"gitCommit": commit}},
				{Name: "buildspec", URI: "git+https://towline.example.com/git/web.git@refs/heads/main#buildspec.yml", Digest: map[string]string{"gitCommit": commit}},
				{Name: "artifact", URI: "artifact:app", Digest: map[string]string{"sha256": strings.Repeat("0", 64)}},
				{Name: "base", URI: "oci:debian:12@sha256:00", Digest: map[string]string{"sha256": "00"}},
			},
		},
		RunDetails: attest.RunDetails{
			Builder: attest.Builder{ID: "https://towline.example.com", Version: map[string]string{"towline": "1.2.3"}},
			Metadata: attest.Metadata{
				InvocationID: "web-7.Image.image", StartedOn: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), FinishedOn: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
			},
		},
	}
	if diff := cmp.Diff(want, got.Provenance); diff != "" {
		t.Error("provenance (-want +got)\n", diff)
	}
	if got.Key != b.signer.Public.ID() || got.Image != image.Reference.String() || got.Provenance.Commit() != commit {
		t.Errorf("key %s, image %s, commit %s", got.Key, got.Image, got.Provenance.Commit())
	}
	if !strings.Contains(string(got.Materials), `"bomFormat":"CycloneDX"`) {
		t.Errorf("bill of materials: %.100s", got.Materials)
	}
	t.Run("also by its tag", func(t *testing.T) {
		tag := image.Reference.Context().Tag("7")
		must(t, remote.Tag(tag, image.Platforms[0].Image))
		if found, err := attest.Verify(t.Context(), attest.Wanted{Reference: tag, Keys: []attest.PublicKey{b.signer.Public}}); err != nil || found.Image != image.Reference.String() {
			t.Errorf("%s, %v", found.Image, err)
		}
	})
	t.Run("by the key that has signed, after another has taken its place", func(t *testing.T) {
		if _, err := b.verify(image, signer(t).Public, b.signer.Public); err != nil {
			t.Error(err)
		}
	})
	t.Run("attested again it is the same, and as good", func(t *testing.T) {
		b.attest(image)
		if _, err := b.verify(image); err != nil {
			t.Error(err)
		}
	})
	t.Run("by the name and the URL of its source alone", func(t *testing.T) {
		for source, right := range map[string]bool{
			"web": true, "https://towline.example.com/git/web": true, "https://Towline.example.com/git/web.git/": true,
			"api": false, "https://evil.example.com/git/web.git": false, "https://towline.example.com/git/web2": false,
		} {
			_, err := attest.Verify(t.Context(), attest.Wanted{Reference: image.Reference, Keys: []attest.PublicKey{b.signer.Public}, Source: source})
			if (err == nil) != right {
				t.Errorf("from %s: %v", source, err)
			}
		}
	})
	t.Run("no environment variable is told", func(t *testing.T) {
		if text, _ := json.Marshal(got); bytes.Contains(text, []byte("s3cret")) {
			t.Error("the provenance has the value of a variable")
		}
	})
}

// referrer is one thing that is attached to an image.
type referrer struct {
	ref      name.Digest
	manifest map[string]any
	blob     []byte
}

// referrers are what is attached to an image with the type that ends so.
func referrers(t *testing.T, image name.Digest, kind, annotated string) []referrer {
	t.Helper()
	index, err := remote.Referrers(image)
	must(t, err)
	list, err := index.IndexManifest()
	must(t, err)
	var found []referrer
	for _, d := range list.Manifests {
		if !strings.Contains(d.ArtifactType, kind) || annotated != "" && d.Annotations["dev.sigstore.bundle.predicateType"] != annotated {
			continue
		}
		r := referrer{ref: image.Context().Digest(d.Digest.String())}
		img, err := remote.Image(r.ref)
		must(t, err)
		raw, err := img.RawManifest()
		must(t, err)
		must(t, json.Unmarshal(raw, &r.manifest))
		layers, err := img.Layers()
		must(t, err)
		content, err := layers[0].Compressed()
		must(t, err)
		r.blob, err = io.ReadAll(content)
		must(t, errors.Join(err, content.Close()))
		found = append(found, r)
	}
	return found
}

func TestTamperedImagesAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(t *testing.T, b *bench, image attest.Image) (attest.Image, []attest.PublicKey)
		why    string
	}{
		"one that nobody has attested": {func(_ *testing.T, b *bench, _ attest.Image) (attest.Image, []attest.PublicKey) {
			return b.push(files{"web.txt": "changed"}), nil
		}, "nobody has attested how it was made"},
		"by another key": {func(t *testing.T, _ *bench, image attest.Image) (attest.Image, []attest.PublicKey) {
			return image, []attest.PublicKey{signer(t).Public}
		}, "it is signed by another key"},
		"with the attestation of another digest": {func(t *testing.T, b *bench, image attest.Image) (attest.Image, []attest.PublicKey) {
			other := b.push(files{"web.txt": "changed"})
			for _, r := range referrers(t, image.Reference, "sigstore", "") {
				b.attach(other, r.blob)
			}
			return other, nil
		}, "it is about another image"},
		"with a changed payload": {func(t *testing.T, b *bench, image attest.Image) (attest.Image, []attest.PublicKey) {
			other := b.push(files{"web.txt": "changed"})
			for _, r := range referrers(t, image.Reference, "sigstore", "") {
				b.attach(other, rewrite(t, r.blob, image.Reference.DigestStr()[7:], other.Reference.DigestStr()[7:]))
			}
			return other, nil
		}, "its content is not what was signed: it has been changed"},
		"with a changed payload and a key of one's own": {func(t *testing.T, b *bench, _ attest.Image) (attest.Image, []attest.PublicKey) {
			good, other := b.signer, b.push(files{"web.txt": "changed"})
			b.signer = signer(t)
			b.attest(other)
			return other, []attest.PublicKey{good.Public}
		}, "it is signed by another key"},
		"with what is no attestation": {func(_ *testing.T, b *bench, _ attest.Image) (attest.Image, []attest.PublicKey) {
			other := b.push(files{"web.txt": "changed"})
			b.attach(other, []byte("not JSON"))
			b.attach(other, []byte(`{"dsseEnvelope":{}}`))
			return other, nil
		}, "it is no bundle of Sigstore's"},
		"with a bill of materials alone": {func(t *testing.T, _ *bench, image attest.Image) (attest.Image, []attest.PublicKey) {
			for _, r := range referrers(t, image.Reference, "sigstore", attest.PredicateProvenance) {
				must(t, remote.Delete(r.ref))
			}
			return image, nil
		}, "it has a bill of materials but no provenance"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			image, keys := c.tamper(t, b, b.attest(b.push(application)))
			found, err := b.verify(image, keys...)
			if _, refused := errors.AsType[*attest.RefusedError](err); !refused || !strings.Contains(err.Error(), c.why) {
				t.Errorf("found %+v, error %v", found, err)
			}
		})
	}
}

func TestAnImageThatIsNotThereIsNoRefusal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	image := b.push(application)
	image.Reference = image.Reference.Context().Digest("sha256:" + strings.Repeat("1", 64))
	_, err := b.verify(image)
	if _, refused := errors.AsType[*attest.RefusedError](err); refused || err == nil || !strings.HasSuffix(err.Error(), "there is no such image") {
		t.Error(err)
	}
}

func TestGarbageThatIsAttachedDoesNotHideWhatIsTrue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	image := b.attest(b.push(application))
	for _, text := range []string{"not JSON", "{}", `{"dsseEnvelope":{"payload":"%","signatures":[{"sig":"x"}]}}`} {
		b.attach(image, []byte(text))
	}
	if _, err := b.verify(image); err != nil {
		t.Error(err)
	}
}

// rewrite replaces a text in the payload of a bundle.
func rewrite(t *testing.T, bundle []byte, old, by string) []byte {
	t.Helper()
	var whole map[string]any
	must(t, json.Unmarshal(bundle, &whole))
	envelope, _ := whole["dsseEnvelope"].(map[string]any)
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	must(t, err)
	envelope["payload"] = base64.StdEncoding.EncodeToString(bytes.ReplaceAll(payload, []byte(old), []byte(by)))
	out, err := json.Marshal(whole)
	must(t, err)
	return out
}

// TestTheSignatureIsThatOfCosign reads what cosign reads: the tag, the payload
// and the signature of it.
func TestTheSignatureIsThatOfCosign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	image := b.attest(b.push(application))
	signed, err := remote.Image(image.Reference.Context().Tag(strings.Replace(image.Reference.DigestStr(), ":", "-", 1) + ".sig"))
	must(t, err)
	m, err := signed.Manifest()
	must(t, err)
	layers, err := signed.Layers()
	must(t, err)
	content, err := layers[0].Compressed()
	must(t, err)
	payload, err := io.ReadAll(content)
	must(t, errors.Join(err, content.Close()))
	block, _ := pem.Decode([]byte(b.signer.Public.PEM()))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	signature, err := base64.StdEncoding.DecodeString(m.Layers[0].Annotations["dev.cosignproject.cosign/signature"])
	must(t, err)
	sum := sha256.Sum256(payload)
	if m.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" || !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], signature) {
		t.Error("the signature is wrong")
	}
	want := `{"critical":{"identity":{"docker-reference":"` + b.host + `/web"},"image":{"docker-manifest-digest":"` + image.Reference.DigestStr() + `"},"type":"cosign container image signature"},"optional":null}`
	if diff := cmp.Diff(want, string(payload)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestPublicKeysAreReadFromPEM(t *testing.T) {
	t.Parallel()
	one, two := signer(t), signer(t)
	keys, err := attest.ParsePublicKeys([]byte("two keys\n" + one.Public.PEM() + two.Public.PEM()))
	if err != nil || len(keys) != 2 || keys[1].ID() != two.Public.ID() {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	private, err := one.Private()
	must(t, err)
	again, err := attest.ParseSigner(private)
	if err != nil || again.Public.ID() != one.Public.ID() {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"none":          "nothing",
		"a private key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"a broken one":  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
	} {
		if _, err := attest.ParsePublicKeys([]byte(text)); err == nil || strings.Contains(err.Error(), "PRIVATE KEY-----") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsInAnImageIsListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	program, err := os.ReadFile(os.Args[0]) // a program of Go's
	must(t, err)
	inner := files{"META-INF/maven/org.acme/lib/pom.properties": "#x\nversion=2.0\r\ngroupId=org.acme\nartifactId=lib\n"}.archive(t)
	jar := files{
		"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: web\nImplementation-Version: 1.4\n",
		"BOOT-INF/lib/lib.jar": inner,
	}.archive(t)
	debian := files{
		"etc/os-release":                                       "NAME=\"Debian\"\nID=debian\n",
		"var/lib/dpkg/status":                                  "Package: gone\nStatus: install ok installed\nVersion: 0\n",
		"opt/tool/node_modules/x/a.txt":                        "",
		"opt/tool/node_modules/x/package.json":                 `{"name":"x","version":"1"}`,
		"usr/lib/python3/dist-packages/A_b.dist-info/METADATA": "Metadata-Version: 2.1\nName: A_b\nVersion: 3\nLicense: MIT\n\nName: body\n",
		"var/lib/rpm/rpmdb.sqlite":                             "x",
	}
	changed := files{
		"var/lib/dpkg/status": "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\nDescription: C\n library: yes\n\n" +
			"Package: removed\nStatus: deinstall ok config-files\nVersion: 1\n",
		"opt/tool/.wh.node_modules": "",
		"lib/apk/db/installed":      "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:zlib\nV:1.3\n",
	}
	app := files{
		"web.jar": jar, "broken.jar": "no archive", "tool*": string(program),
		"node_modules/@acme/ui/package.json": `{"name":"@acme/ui","version":"4.0.0","license":"ISC"}`, "src/package.json": `{"name":"web","version":"0"}`,
	}
	image := b.attest(b.push(app, debian, changed))
	got := purls(t, b, image)
	for _, want := range []string{
		"pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64", "pkg:apk/debian/musl@1.2.5-r0?arch=x86_64", "pkg:apk/debian/zlib@1.3",
		"pkg:maven/web@1.4", "pkg:maven/org.acme/lib@2.0", "pkg:npm/%40acme/ui@4.0.0", "pkg:pypi/a-b@3", "pkg:golang/stdlib@" + strings.TrimPrefix(runtime.Version(), "go"), "pkg:golang/github.com/towline/towline",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not listed", want)
		}
	}
	for _, purl := range got {
		for _, gone := range []string{"gone", "removed", "npm/x@", "npm/web@"} {
			if strings.Contains(purl, gone) {
				t.Errorf("%s is listed", purl)
			}
		}
	}
	said := strings.Join(b.said, "\n")
	for _, line := range []string{"leaves out var/lib/rpm/rpmdb.sqlite: databases of RPM are not read", "leaves out app/broken.jar: it is no archive that can be read", "attested: provenance and "} {
		if !strings.Contains(said, line) {
			t.Errorf("the log has no %q:\n%s", line, said)
		}
	}
	t.Run("and the layers of a base are read once", func(t *testing.T) {
		b.said = nil
		b.attest(b.push(files{"other.txt": ""}, debian, changed))
		if said := strings.Join(b.said, "\n"); strings.Contains(said, "look into layer") {
			t.Error(said)
		}
	})
	t.Run("and the same image has the same list", func(t *testing.T) {
		before := referrers(t, image.Reference, "cyclonedx", "")
		b.attest(image)
		if after := referrers(t, image.Reference, "cyclonedx", ""); len(after) != 1 || !bytes.Equal(before[0].blob, after[0].blob) {
			t.Errorf("%d lists", len(after))
		}
	})
}

func purls(t *testing.T, b *bench, image attest.Image) (all []string) {
	t.Helper()
	got, err := b.verify(image)
	must(t, err)
	var bom struct {
		Components []struct {
			PackageURL string `json:"purl"`
		} `json:"components"`
	}
	must(t, json.Unmarshal(got.Materials, &bom))
	for _, c := range bom.Components {
		all = append(all, c.PackageURL)
	}
	return all
}

// attach attaches a blob to an image as an attestation, as anybody may who can
// push there.
func (b *bench) attach(image attest.Image, blob []byte) {
	b.t.Helper()
	digest, size, err := v1.SHA256(bytes.NewReader(blob))
	must(b.t, err)
	b.upload(image.Reference.RepositoryStr(), digest, blob)
	b.upload(image.Reference.RepositoryStr(), v1.Hash{Algorithm: "sha256", Hex: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, []byte("{}"))
	const kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": kind,
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2},
		"layers": []any{map[string]any{"mediaType": kind, "digest": digest.String(), "size": size}}, "subject": image.Descriptor,
	})
	must(b.t, err)
	sum, _, err := v1.SHA256(bytes.NewReader(manifest))
	must(b.t, err)
	b.put("/v2/"+image.Reference.RepositoryStr()+"/manifests/"+sum.String(), "application/vnd.oci.image.manifest.v1+json", manifest)
}
