package image

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/towline/towline/internal/pipeline"
)

// pushable is an image or an index of images.
type pushable interface {
	remote.Taggable
	Digest() (v1.Hash, error)
	MediaType() (types.MediaType, error)
	Size() (int64, error)
}

// publish pushes one image, or an index when there are several, and returns
// what later actions need to know of it.
func (m *making) publish(ctx context.Context, images []v1.Image) (pipeline.Result, error) {
	var what pushable = images[0]
	if len(images) > 1 {
		idx, err := m.index(images)
		if err != nil {
			return pipeline.Result{}, err
		}
		what = idx
	}
	digest, err := what.Digest()
	if err != nil {
		return pipeline.Result{}, err
	}
	size, err := weight(images[0])
	if err != nil {
		return pipeline.Result{}, err
	}
	if err := m.push(ctx, what, images); err != nil {
		return pipeline.Result{}, err
	}
	media, err := what.MediaType()
	if err != nil {
		return pipeline.Result{}, err
	}
	bytes, err := what.Size()
	if err != nil {
		return pipeline.Result{}, err
	}
	m.pushed = v1.Descriptor{MediaType: media, Digest: digest, Size: bytes}
	uri := m.target.Digest(digest.String()).String()
	m.say("image %s, tagged %s", uri, strings.Join(m.tags(), " and "))
	return pipeline.Result{
		Outcome: pipeline.Succeeded,
		Summary: fmt.Sprintf("%s@%s %s", m.target.RepositoryStr(), short(digest), megabytes(size)),
		Variables: map[string]string{
			"ImageURI":    uri,
			"ImageDigest": digest.String(),
			"ImageTag":    m.tags()[0],
		},
	}, nil
}

// index lists the images with their platforms.
func (m *making) index(images []v1.Image) (v1.ImageIndex, error) {
	kind := types.OCIImageIndex
	adds := make([]mutate.IndexAddendum, len(images))
	for i, img := range images {
		media, err := img.MediaType()
		if err != nil {
			return nil, err
		}
		if media == types.DockerManifestSchema2 {
			kind = types.DockerManifestList
		}
		adds[i] = mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &m.platforms[i]}}
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, kind), adds...), nil
}

// weight is what a node that has nothing yet pulls, in bytes.
func weight(img v1.Image) (int64, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	total := manifest.Config.Size
	for _, l := range manifest.Layers {
		total += l.Size
	}
	return total, nil
}

var commitForm = regexp.MustCompile(`^[0-9a-f]{7}$`)

// tags are for people who look into the registry; deployments go by digest.
func (m *making) tags() []string {
	all := []string{strconv.Itoa(m.job.Number)}
	if commit := m.job.Revision.Short(); commitForm.MatchString(commit) {
		all = append(all, commit)
	}
	return all
}

func (m *making) push(ctx context.Context, what pushable, images []v1.Image) error {
	watch := &watch{next: remote.DefaultTransport, seen: map[string]string{}}
	updates := make(chan v1.Update, 16)
	var shown sync.WaitGroup
	shown.Go(func() { m.showProgress(updates) })
	pusher, err := remote.NewPusher(
		remote.WithAuthFromKeychain(m.keychain()),
		remote.WithTransport(watch),
		remote.WithProgress(updates),
		remote.WithContext(ctx),
	)
	if err == nil {
		m.progress("push to %s", m.target)
		for _, tag := range m.tags() {
			if err = pusher.Push(ctx, m.target.Tag(tag), what); err != nil {
				break
			}
		}
	}
	close(updates)
	shown.Wait()
	if err != nil {
		return m.explainPush(err)
	}
	return m.sayLayers(watch, images)
}

// showProgress shows how much is pushed, whenever another hundredth is.
func (m *making) showProgress(updates <-chan v1.Update) {
	last := int64(-1)
	for u := range updates {
		if u.Total == 0 || u.Error != nil {
			continue
		}
		if part := u.Complete * 100 / u.Total; part != last {
			last = part
			m.progress("push %s of %s to %s", megabytes(u.Complete), megabytes(u.Total), m.target)
		}
	}
}

// sayLayers tells for each layer what the push did with it.
func (m *making) sayLayers(w *watch, images []v1.Image) error {
	said := map[v1.Hash]bool{}
	for _, img := range images {
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		for _, l := range layers {
			d, err := partial.Descriptor(l)
			if err != nil {
				return err
			}
			if said[d.Digest] {
				continue
			}
			said[d.Digest] = true
			m.say("layer %s %s %s", short(d.Digest), megabytes(d.Size), w.did(d.Digest))
		}
	}
	return nil
}

// watch sees from the requests of a push what happened to each blob.
type watch struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen map[string]string // what was done, by digest
}

var _ http.RoundTripper = (*watch)(nil)

var blobPath = regexp.MustCompile(`/blobs/(sha256:[0-9a-f]{64})$`)

func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := w.next.RoundTrip(req)
	if err != nil {
		return res, err
	}
	query := req.URL.Query()
	switch {
	case req.Method == http.MethodHead && res.StatusCode == http.StatusOK:
		if found := blobPath.FindStringSubmatch(req.URL.Path); found != nil {
			w.note(found[1], "already there")
		}
	case req.Method == http.MethodPost && res.StatusCode == http.StatusCreated && query.Get("mount") != "":
		w.note(query.Get("mount"), "mounted from "+query.Get("from"))
	case req.Method == http.MethodPut && res.StatusCode == http.StatusCreated && query.Get("digest") != "":
		w.note(query.Get("digest"), "pushed")
	}
	return res, nil
}

func (w *watch) note(digest, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[digest] = what
}

// did says what was done with a layer. One that was not asked for came with an
// image that the registry has whole.
func (w *watch) did(digest v1.Hash) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if what, ok := w.seen[digest.String()]; ok {
		return what
	}
	return "already there"
}

// keychain has the credentials of the embedded registry and of all others.
func (m *making) keychain() authn.Keychain {
	return keychain{m.action.Registry, m.otherRegistries()}
}

func (m *making) otherRegistries() authn.Keychain {
	if m.action.Keychain == nil {
		return authn.DefaultKeychain
	}
	return m.action.Keychain
}

type keychain struct {
	own  Registry
	rest authn.Keychain
}

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if k.own.Auth != nil && r.RegistryStr() == k.own.Host {
		return k.own.Auth, nil
	}
	return k.rest.Resolve(r)
}
