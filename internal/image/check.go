package image

import (
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// check completes the configuration with its defaults and refuses what cannot
// be meant, before anything is done.
func (m *making) check() error {
	check := m.checkLayered
	if m.cfg.Dockerfile != "" {
		check = m.checkDockerfile
	}
	if err := check(); err != nil {
		return err
	}
	if err := m.checkPlatforms(); err != nil {
		return err
	}
	return m.checkTarget()
}

// checkLayered is about images that are made without a Dockerfile.
func (m *making) checkLayered() error {
	if m.cfg.Path == "" {
		m.cfg.Path = "/app"
	}
	if !path.IsAbs(m.cfg.Path) || strings.ContainsRune(m.cfg.Path, 0) {
		return refuse("path: %q is not an absolute path of the image, such as /app", m.cfg.Path)
	}
	m.cfg.Path = path.Clean(m.cfg.Path)
	if m.cfg.Base == "" {
		m.cfg.Base = scratch
	}
	for _, p := range m.cfg.Ports {
		if p < 1 || p > 65535 {
			return refuse("ports: %d is not a TCP port", p)
		}
	}
	for k := range m.cfg.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return refuse("env: %q is not a name of an environment variable", k)
		}
	}
	if m.cfg.Base == scratch && len(m.cfg.Entrypoint) == 0 {
		return refuse("entrypoint: is missing, and an image from scratch has none of its own; say what to run, e.g. entrypoint: [%s]", path.Join(m.cfg.Path, m.repositoryBase()))
	}
	return nil
}

func (m *making) repositoryBase() string { return path.Base(m.cfg.Repository) }

// checkPlatforms reads the platforms. Only Linux has images of this form.
func (m *making) checkPlatforms() error {
	asked := m.cfg.Platforms
	if len(asked) == 0 {
		asked = []string{"linux/" + runtime.GOARCH}
	}
	for _, text := range asked {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS != "linux" || p.Architecture == "" || p.OSVersion != "" {
			return refuse("platforms: %q is not a platform such as linux/amd64 or linux/arm64", text)
		}
		if p.Architecture == "arm64" && p.Variant == "v8" {
			p.Variant = "" // the only one there is, and mostly not written
		}
		if !slices.ContainsFunc(m.platforms, p.Equals) {
			m.platforms = append(m.platforms, *p)
		}
	}
	return nil
}

// repositoryForm is OCI's form of a repository's name.
var repositoryForm = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

// checkTarget finds the repository to push to. As in Docker, a first part with
// a dot or a colon, or localhost, is a registry's host.
func (m *making) checkTarget() error {
	repository := m.cfg.Repository
	if repository == "" {
		return refuse("repository: is missing; give the image a name, such as web, or a full reference such as ghcr.io/acme/web")
	}
	if last := path.Base(repository); strings.ContainsAny(last, ":@") {
		return refuse("repository: %q has a tag or digest; leave it out, the execution's number and the commit become tags", repository)
	}
	own := m.action.Registry
	host, rest, ok := strings.Cut(repository, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, rest, _ = strings.Cut(own.Host+"/"+repository, "/")
	}
	if !repositoryForm.MatchString(rest) || len(rest) > 200 {
		return refuse("repository: %q is not the name of a repository; use lower-case words with . _ - inside, separated by /, such as team/web", rest)
	}
	m.embedded = host == own.Host && own.Auth != nil
	if host == "" {
		return refuse("repository: %q names no registry and the server has none of its own; write it in full, such as ghcr.io/acme/web", repository)
	}
	var err error
	if m.target, err = name.NewRepository(host+"/"+rest, m.options(host)...); err != nil {
		return refuse("repository: %q is not the name of a repository: %v", repository, err)
	}
	return nil
}

// options says how a registry is spoken to.
func (m *making) options(host string) []name.Option {
	if host == m.action.Registry.Host && m.action.Registry.Insecure {
		return []name.Option{name.Insecure}
	}
	return nil
}
