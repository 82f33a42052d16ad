package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/registry"
)

var own = &authn.Basic{Username: "towline", Password: "secret"}

// images is a real registry that wants a password, and an action that has it.
func images(t *testing.T) (ImageAction, *packer) {
	t.Helper()
	reg, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: func(r *http.Request, _ string, _ bool) bool {
		_, password, _ := r.BasicAuth()
		return password == own.Password
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(reg)
	t.Cleanup(func() {
		server.Close()
		reg.Close()
	})
	p := &packer{t: t}
	return ImageAction{Artifacts: p, Host: strings.TrimPrefix(server.URL, "http://"), Insecure: true, Keychain: keys{}}, p
}

type keys struct{}

func (keys) Resolve(authn.Resource) (authn.Authenticator, error) { return own, nil }

// pushImage pushes an image of 2 layers that was made at noon.
func pushImage(t *testing.T, a ImageAction, tag string) (v1.Image, string) {
	t.Helper()
	image := must[v1.Image](t)(random.Image(1000, 2))
	image = must[v1.Image](t)(mutate.CreatedAt(image, v1.Time{Time: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}))
	ref := must[name.Reference](t)(name.ParseReference(a.Host+"/team/web:"+tag, name.Insecure))
	if err := remote.Write(ref, image, remote.WithAuth(own)); err != nil {
		t.Fatal(err)
	}
	return image, must[v1.Hash](t)(image.Digest()).String()
}

func imageJob(t *testing.T, cfg ImageConfiguration) pipeline.Job {
	t.Helper()
	return pipeline.Job{
		Action: pipeline.Action{Name: "base", Outputs: []string{"image"}}, Dir: t.TempDir(), Log: &bytes.Buffer{},
		Configuration: must[[]byte](t)(json.Marshal(cfg)),
	}
}

func TestImageAction(t *testing.T) {
	t.Parallel()
	a, p := images(t)
	image, digest := pushImage(t, a, "v1")
	manifest := must[*v1.Manifest](t)(image.Manifest())
	size := manifest.Config.Size
	for _, l := range manifest.Layers {
		size += l.Size
	}
	cfg := ImageConfiguration{RepositoryName: "team/web", ImageTag: "v1"}
	result := must[pipeline.Result](t)(a.Run(t.Context(), imageJob(t, cfg)))
	uri := a.Host + "/team/web@" + digest
	want := map[string]string{"RegistryId": a.Host, "RepositoryName": "team/web", "ImageTag": "v1", "ImageDigest": digest, "ImageURI": uri}
	if diff := cmp.Diff(want, result.Variables); result.Outcome != pipeline.Succeeded || diff != "" {
		t.Errorf("%s %s, variables (-want +got):\n%s", result.Outcome, result.Message, diff)
	}
	if diff := cmp.Diff([]pipeline.Artifact{{Name: "image", Digest: "sha256:feed", Size: 42}}, result.Artifacts); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	var detail map[string]any
	if err := json.Unmarshal([]byte(p.files["imageDetail.json"]), &detail); err != nil || len(p.files) != 1 {
		t.Fatalf("%v, files %v", err, p.files)
	}
	wantDetail := map[string]any{
		"ImageSizeInBytes": strconv.FormatInt(size, 10), "ImageDigest": digest, "Version": "1.0", "ImagePushedAt": "Mon Mar 02 12:00:00 UTC 2026",
		"RegistryId": a.Host, "RepositoryName": "team/web", "ImageURI": uri, "ImageTags": []any{"v1"},
	}
	if diff := cmp.Diff(wantDetail, detail); diff != "" {
		t.Errorf("imageDetail.json (-want +got):\n%s", diff)
	}
	t.Run("a tag that moves is noticed", func(t *testing.T) {
		before := must[string](t)(a.Newest(t.Context(), cfg))
		_, moved := pushImage(t, a, "v1")
		after := must[string](t)(a.Newest(t.Context(), cfg))
		if before != digest || after != moved {
			t.Errorf("from %s to %s", before, after)
		}
	})
	t.Run("a start may ask for another image", func(t *testing.T) {
		result := must[pipeline.Result](t)(a.Run(t.Context(), imageJob(t, ImageConfiguration{RepositoryName: "team/web", ImageTag: "v1", ImageDigest: digest})))
		if result.Variables["ImageDigest"] != digest || result.Variables["ImageTag"] != "" {
			t.Errorf("variables %v, %s", result.Variables, result.Message)
		}
	})
	t.Run("a whole reference says the same", func(t *testing.T) {
		for image, tag := range map[string]string{
			a.Host + "/team/web:v1": "v1", "team/web:v1": "v1", "team/web@" + digest: "", "team/web:v1@" + digest: "",
		} {
			result := must[pipeline.Result](t)(a.Run(t.Context(), imageJob(t, ImageConfiguration{Image: image})))
			if result.Outcome != pipeline.Succeeded || result.Variables["ImageTag"] != tag || tag == "" && result.Variables["ImageDigest"] != digest {
				t.Errorf("%s: %+v", image, result)
			}
		}
	})
	t.Run("an index of several platforms is known by its own digest", func(t *testing.T) {
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image}, mutate.IndexAddendum{Add: image})
		ref := must[name.Reference](t)(name.ParseReference(a.Host+"/team/web:latest", name.Insecure))
		if err := remote.WriteIndex(ref, index, remote.WithAuth(own)); err != nil {
			t.Fatal(err)
		}
		result := must[pipeline.Result](t)(a.Run(t.Context(), imageJob(t, ImageConfiguration{RepositoryName: "team/web"})))
		if want := must[v1.Hash](t)(index.Digest()).String(); result.Variables["ImageDigest"] != want || result.Variables["ImageTag"] != "latest" {
			t.Errorf("variables %v, %s", result.Variables, result.Message)
		}
		if !strings.Contains(p.files["imageDetail.json"], strconv.FormatInt(2*size, 10)) {
			t.Errorf("not the size of both images, %d: %s", 2*size, p.files["imageDetail.json"])
		}
	})
}

func TestImageActionRefuses(t *testing.T) {
	t.Parallel()
	a, _ := images(t)
	pushImage(t, a, "v1")
	for name, tt := range map[string]struct {
		edit func(*ImageAction)
		cfg  ImageConfiguration
		want error
	}{
		"a tag that is not there":     {nil, ImageConfiguration{RepositoryName: "team/web", ImageTag: "v2"}, ErrNoImage},
		"a repository that is not":    {nil, ImageConfiguration{RepositoryName: "team/shop"}, ErrNoImage},
		"a repository with a tag":     {nil, ImageConfiguration{RepositoryName: "team/web:v1"}, ErrInvalid},
		"a tag that is an expression": {nil, ImageConfiguration{RepositoryName: "team/web", ImageTag: "v1@sha256:x"}, ErrInvalid},
		"a digest that is none":       {nil, ImageConfiguration{RepositoryName: "team/web", ImageDigest: "sha256:12"}, ErrInvalid},
		"no registry":                 {func(a *ImageAction) { a.Host = "" }, ImageConfiguration{RepositoryName: "web"}, ErrInvalid},
		"no password":                 {func(a *ImageAction) { a.Keychain = authn.NewMultiKeychain() }, ImageConfiguration{RepositoryName: "team/web", ImageTag: "v1"}, ErrDenied},
		// Nothing listens on a port that low; one that was free a moment ago may be taken.
		"a registry that is away": {func(a *ImageAction) { a.Host = "127.0.0.1:1" }, ImageConfiguration{RepositoryName: "web"}, ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := a
			if tt.edit != nil {
				tt.edit(&a)
			}
			_, err := a.Newest(t.Context(), tt.cfg)
			wantKind(t, err, tt.want)
			result, err := a.Run(t.Context(), imageJob(t, tt.cfg))
			if errors.Is(tt.want, ErrUnreachable) {
				// Not the user's fault: the action did not run.
				wantKind(t, err, ErrUnreachable)
			} else if err != nil || result.Outcome != pipeline.Failed {
				t.Errorf("%v, %+v", err, result)
			}
			if strings.Contains(result.Message, own.Password) {
				t.Errorf("the message shows a password: %s", result.Message)
			}
		})
	}
}

func TestRegistryID(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com": "123456789012", "ghcr.io": "ghcr.io", "localhost:5000": "localhost:5000",
	} {
		if got := registryID(host); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
}
