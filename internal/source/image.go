package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/towline/towline/internal/pipeline"
)

// ImageConfiguration is the configuration of Source/Image, a reference, or of
// Source/ECR, in CodePipeline's words. The repository may be in any registry: a
// name such as web is one of this server's own.
type ImageConfiguration struct {
	// Image is a reference such as ghcr.io/acme/base:17, instead of the two
	// that follow.
	Image          string `json:"image"`
	RepositoryName string `json:"RepositoryName"`
	ImageTag       string `json:"ImageTag"` // default latest
	// ImageDigest takes that image instead of the one that is tagged: what the
	// override IMAGE_DIGEST of a start asks for.
	ImageDigest string `json:"ImageDigest"`
}

// ImageAction carries out Source/Image and Source/ECR: it finds out which image a tag means
// now, and writes that down as CodePipeline does, in imageDetail.json. It pulls
// no layers. It is safe for concurrent use.
type ImageAction struct {
	Artifacts Packer
	// Host is the registry that a name without one belongs to, and Insecure
	// says that it has no TLS.
	Host     string
	Insecure bool
	// Keychain has the credentials of registries. Nil is Docker's.
	Keychain authn.Keychain
}

// imageDetail is imageDetail.json. The values are texts there, also the size.
type imageDetail struct {
	ImageSizeInBytes string   // of the layers, compressed, and the configuration
	ImageDigest      string   // of the manifest, or of the index of several platforms
	Version          string   // of this form
	ImagePushedAt    string   `json:",omitempty"` // no registry tells; this is when it was made
	RegistryId       string   // CodePipeline's name: the account of an ECR registry, the host of others
	RepositoryName   string   // without the registry
	ImageURI         string   // by its digest
	ImageTags        []string // the one that was asked for
}

const (
	imageDetailFile = "imageDetail.json"
	pushedAt        = "Mon Jan 02 15:04:05 MST 2006"
	imageTimeout    = 2 * time.Minute
	maxPlatforms    = 64
)

// Newest returns the digest that the tag means now, by one short request. Who
// polls compares it with the one seen last. The error is of kind ErrInvalid,
// ErrNoImage, ErrDenied or ErrUnreachable when it is not this server's fault.
func (a ImageAction) Newest(ctx context.Context, cfg ImageConfiguration) (digest string, err error) {
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	ref, err := a.reference(cfg)
	if err != nil {
		return "", err
	}
	d, err := remote.Head(ref, a.options(ctx)...)
	if err != nil {
		return "", imageError(ref, err)
	}
	return d.Digest.String(), nil
}

// ErrNoImage is a tag or digest that a repository does not have.
var ErrNoImage = fmt.Errorf("image %w", ErrNotFound)

// Run does the job. The variables of its result are CodePipeline's:
// RegistryId, RepositoryName, ImageTag, ImageDigest and ImageURI.
func (a ImageAction) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var cfg ImageConfiguration
	if err := json.Unmarshal(job.Configuration, &cfg); err != nil {
		return pipeline.Result{}, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	detail, err := a.detail(ctx, cfg)
	if refused, ok := errors.AsType[*Error](err); ok && !errors.Is(err, ErrUnreachable) {
		return pipeline.Fail("%s", refused.Error()), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	if job.Log != nil {
		fmt.Fprintf(job.Log, "%s of %s is %s\n", strings.Join(detail.ImageTags, ""), detail.RepositoryName, detail.ImageURI)
	}
	dir := filepath.Join(job.Dir, "image")
	if err := writeDetail(dir, detail); err != nil {
		return pipeline.Result{}, fmt.Errorf("write %s: %w", imageDetailFile, err)
	}
	digest, size, err := a.Artifacts.Pack(ctx, dir, nil)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("store %s: %w", imageDetailFile, err)
	}
	return pipeline.Result{
		Outcome: pipeline.Succeeded,
		Summary: fmt.Sprintf("%s@%.19s", detail.RepositoryName, detail.ImageDigest),
		Variables: map[string]string{
			"RegistryId":     detail.RegistryId,
			"RepositoryName": detail.RepositoryName,
			"ImageTag":       strings.Join(detail.ImageTags, ""),
			"ImageDigest":    detail.ImageDigest,
			"ImageURI":       detail.ImageURI,
		},
		Artifacts: []pipeline.Artifact{{Name: outputName(job.Action), Digest: digest, Size: size}},
	}, nil
}

func writeDetail(dir string, detail imageDetail) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(detail, "", "    ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, imageDetailFile), append(text, '\n'), 0o644) //nolint:gosec // others may read an artifact
}

// detail asks the registry.
func (a ImageAction) detail(ctx context.Context, cfg ImageConfiguration) (imageDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	ref, err := a.reference(cfg)
	if err != nil {
		return imageDetail{}, err
	}
	found, err := remote.Get(ref, a.options(ctx)...)
	if err != nil {
		return imageDetail{}, imageError(ref, err)
	}
	size, made, err := weigh(found)
	if err != nil {
		return imageDetail{}, imageError(ref, err)
	}
	repository := ref.Context()
	d := imageDetail{
		ImageSizeInBytes: strconv.FormatInt(size, 10),
		ImageDigest:      found.Digest.String(),
		Version:          "1.0",
		RegistryId:       registryID(repository.RegistryStr()),
		RepositoryName:   repository.RepositoryStr(),
		ImageURI:         repository.Digest(found.Digest.String()).String(),
	}
	if tag, ok := ref.(name.Tag); ok {
		d.ImageTags = []string{tag.TagStr()}
	}
	if !made.IsZero() {
		d.ImagePushedAt = made.UTC().Format(pushedAt)
	}
	return d, nil
}

// weigh returns the bytes of an image, or of all images of an index, and when
// the (first) one was made.
func weigh(found *remote.Descriptor) (size int64, made time.Time, err error) {
	if !found.MediaType.IsIndex() {
		image, err := found.Image()
		if err != nil {
			return 0, made, err
		}
		return weighImage(image)
	}
	index, err := found.ImageIndex()
	if err != nil {
		return 0, made, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return 0, made, err
	}
	if len(manifest.Manifests) > maxPlatforms {
		return 0, made, &Error{Kind: ErrTooLarge, Message: fmt.Sprintf("the image is an index of %d images, more than %d", len(manifest.Manifests), maxPlatforms)}
	}
	for _, m := range manifest.Manifests {
		if !m.MediaType.IsImage() {
			continue // what is attached to an image is none
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			return 0, made, err
		}
		one, at, err := weighImage(image)
		if err != nil {
			return 0, made, err
		}
		size += one
		if made.IsZero() {
			made = at
		}
	}
	return size, made, nil
}

func weighImage(image v1.Image) (size int64, made time.Time, err error) {
	manifest, err := image.Manifest()
	if err != nil {
		return 0, made, err
	}
	size = manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	if !manifest.Config.MediaType.IsConfig() {
		return size, made, nil // something else that is kept in a registry, such as a chart
	}
	config, err := image.ConfigFile()
	if err != nil {
		return 0, made, err
	}
	return size, config.Created.Time, nil
}

// reference is the image that the configuration names.
func (a ImageAction) reference(cfg ImageConfiguration) (name.Reference, error) {
	bad := func(reason, hint string) error {
		return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.200q is no repository of images: %s", cfg.RepositoryName, reason), Hint: hint}
	}
	if cfg.Image != "" {
		cfg = cfg.split()
	}
	host, rest, ok := strings.Cut(cfg.RepositoryName, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, rest = a.Host, cfg.RepositoryName
	}
	if host == "" || rest == "" {
		return nil, bad("it names no registry, and this server has none of its own", "write it in full, such as ghcr.io/acme/web")
	}
	var options []name.Option
	if host == a.Host && a.Insecure {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(host+"/"+rest, options...)
	if err != nil {
		return nil, bad(clean(err.Error()), "write it without a tag, such as web or ghcr.io/acme/web")
	}
	if cfg.ImageDigest != "" {
		digest, err := v1.NewHash(cfg.ImageDigest)
		if err != nil {
			return nil, &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.100q is no digest of an image", cfg.ImageDigest), Hint: "write it as sha256: and 64 hexadecimal digits"}
		}
		return repository.Digest(digest.String()), nil
	}
	tag := cmp.Or(cfg.ImageTag, "latest")
	if !tagForm.MatchString(tag) {
		return nil, &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.100q is no tag of an image", tag), Hint: "use letters, digits, and . _ - inside"}
	}
	return repository.Tag(tag), nil
}

// split takes the reference apart. A digest in it outranks the tag, and one
// that the start has asked for outranks both.
func (c ImageConfiguration) split() ImageConfiguration {
	repository, digest, _ := strings.Cut(c.Image, "@")
	c.RepositoryName, c.ImageTag = repository, ""
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		c.RepositoryName, c.ImageTag = repository[:i], repository[i+1:]
	}
	c.Image, c.ImageDigest = "", cmp.Or(c.ImageDigest, digest)
	return c
}

// tagForm is OCI's form of a tag.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func (a ImageAction) options(ctx context.Context) []remote.Option {
	keychain := a.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain), remote.WithUserAgent("towline")}
}

// accountHost is the host of a registry of AWS.
var accountHost = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr[.-]`)

func registryID(host string) string {
	if m := accountHost.FindStringSubmatch(host); m != nil {
		return m[1]
	}
	return host
}

// imageError makes words for the user out of what a registry answers.
func imageError(ref name.Reference, err error) error {
	refuse := func(kind error, message, hint string) error {
		return &Error{Kind: kind, Message: fmt.Sprintf("image %s: %s", ref, message), Hint: hint}
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return refuse(ErrUnreachable, clean(err.Error()), "")
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return refuse(ErrNoImage, "the registry has none of that name", "push it, or mend the repository's name or the tag")
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse(ErrDenied, "the registry does not show it to this server", "give the server credentials that may pull it; some registries say so too when there is no such repository")
	}
	return refuse(ErrUnreachable, fmt.Sprintf("the registry answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), "")
}
