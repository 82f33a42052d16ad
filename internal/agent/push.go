package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// sumAnnotation says on an image's manifest of which executables it is made,
// so that the same image need not be made and pushed again to know its digest.
const sumAnnotation = "dev.towline.executables"

// Target is where the image goes. Only Reference is required.
type Target struct {
	// Reference is a repository with or without a tag, such as
	// ghcr.io/acme/towline-agent. Without a tag the image gets one that names
	// its content.
	Reference string
	Insecure  bool                // by plain HTTP
	Auth      authn.Authenticator // default: the credentials of docker login
	// Executables are the programs of the image, one for each architecture of
	// the cluster. Default: this program.
	Executables []string
	// Progress hears what is done, in a few words. Default: nobody.
	Progress func(string)
}

// Publish sees to it that the registry has the agent's image, and returns the
// reference of it by digest. An image that is there already is not made again,
// so that it may be called before every use.
func Publish(ctx context.Context, target Target) (reference string, err error) {
	programs, err := target.programs()
	if err != nil {
		return "", err
	}
	tag, err := target.tag(programs)
	if err != nil {
		return "", err
	}
	if target.Progress == nil {
		target.Progress = func(string) {}
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if target.Auth != nil {
		options = []remote.Option{remote.WithContext(ctx), remote.WithAuth(target.Auth)}
	}
	digest, err := published(tag, sums(programs), options)
	if err != nil {
		return "", fmt.Errorf("look for the agent image at %s: %w", tag, explain(err))
	}
	if digest == "" {
		target.Progress(fmt.Sprintf("push the agent image to %s", tag))
		if digest, err = push(tag, programs, options); err != nil {
			return "", fmt.Errorf("push the agent image to %s: %w", tag, explain(err))
		}
	}
	return tag.Digest(digest).String(), nil
}

func (t Target) programs() ([]executable, error) {
	paths := t.Executables
	if len(paths) == 0 {
		path, err := running()
		if err != nil {
			return nil, err
		}
		paths = []string{path}
	}
	var programs []executable
	for _, path := range paths {
		e, err := inspect(path)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(programs, func(o executable) bool { return o.platform.Equals(e.platform) }) {
			return nil, fmt.Errorf("%s is a second program for %s: one for each architecture is wanted", path, e.platform)
		}
		programs = append(programs, e)
	}
	return programs, nil
}

// sums names the content of the image.
func sums(programs []executable) string {
	var all []string
	for _, e := range programs {
		all = append(all, e.platform.Architecture+":"+e.sum)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func (t Target) tag(programs []executable) (name.Tag, error) {
	var options []name.Option
	if t.Insecure {
		options = append(options, name.Insecure)
	}
	content := sha256.Sum256([]byte(sums(programs)))
	short := hex.EncodeToString(content[:8])
	tag, err := name.NewTag(t.Reference, append(options, name.WithDefaultTag(short))...)
	if err != nil {
		return tag, fmt.Errorf("agent image %q: want a repository and perhaps a tag, such as ghcr.io/acme/towline-agent: %w", t.Reference, err)
	}
	return tag, nil
}

// published is the digest of what the tag names, empty unless that is this
// very image.
func published(tag name.Tag, sums string, options []remote.Option) (digest string, err error) {
	there, err := remote.Get(tag, options...)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var manifest struct { // of an image or of an index
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(there.Manifest, &manifest); err == nil && manifest.Annotations[sumAnnotation] == sums {
		digest = there.Digest.String()
	}
	return digest, nil
}

func missing(err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	return ok && refused.StatusCode == http.StatusNotFound
}

// push makes the image, or one for each architecture, and sends it.
func push(tag name.Tag, programs []executable, options []remote.Option) (digest string, err error) {
	annotations := map[string]string{sumAnnotation: sums(programs)}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, e := range programs {
		img, err := e.image()
		if err != nil {
			return "", err
		}
		if len(programs) == 1 {
			img, ok := mutate.Annotations(img, annotations).(v1.Image)
			if !ok {
				return "", errors.New("an image with annotations is no image")
			}
			return write(img, func() error { return remote.Write(tag, img, options...) })
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &e.platform}})
	}
	annotated, ok := mutate.Annotations(index, annotations).(v1.ImageIndex)
	if !ok {
		return "", errors.New("an index with annotations is no index")
	}
	return write(annotated, func() error { return remote.WriteIndex(tag, annotated, options...) })
}

func write(what interface{ Digest() (v1.Hash, error) }, send func() error) (string, error) {
	digest, err := what.Digest()
	if err != nil {
		return "", err
	}
	return digest.String(), send()
}

// explain tells how to mend the errors that users meet.
func explain(err error) error {
	refused, ok := errors.AsType[*transport.Error](err)
	switch {
	case ok && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: sign in with docker login, or name a repository that you may write to", err)
	case errors.Is(err, io.EOF), err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%w: for a registry that speaks plain HTTP give --insecure", err)
	}
	return err
}
