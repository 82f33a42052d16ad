package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// nobody is the user of an image from scratch: not root, and no name to look
// up in a file that is not there.
const nobody = "65532:65532"

// assemble puts the layer on a base and configures the image.
func (m *making) assemble(on base, l *layer) (v1.Image, error) {
	media, err := on.image.MediaType()
	if err != nil {
		return nil, fmt.Errorf("read base %s: %w", m.cfg.Base, err)
	}
	img, err := mutate.Append(on.image, mutate.Addendum{
		Layer: l.as(media),
		History: v1.History{
			Created:   v1.Time{Time: m.created()},
			CreatedBy: "towline: artifact to " + m.cfg.Path,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("put the layer on %s: %w", m.cfg.Base, err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("put the layer on %s: %w", m.cfg.Base, err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = on.platform.OS, on.platform.Architecture
	if on.platform.Variant != "" {
		cfg.Variant = on.platform.Variant
	}
	cfg.Created = v1.Time{Time: m.created()}
	m.configure(&cfg.Config, on)
	if len(cfg.Config.Entrypoint) == 0 && len(cfg.Config.Cmd) == 0 {
		return nil, refuse("entrypoint: is missing, and the base %s has none of its own; say what to run", m.cfg.Base)
	}
	return mutate.ConfigFile(img, cfg)
}

// created is the time in the image: the commit's, so that it tells something
// and is the same each time.
func (m *making) created() time.Time {
	if m.job.Revision.Time.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return m.job.Revision.Time.UTC().Truncate(time.Second)
}

// configure sets what the container runs, and how.
func (m *making) configure(c *v1.Config, on base) {
	if len(m.cfg.Entrypoint) > 0 {
		c.Entrypoint, c.Cmd = m.cfg.Entrypoint, nil // as ENTRYPOINT in a Dockerfile does
	}
	for _, k := range slices.Sorted(maps.Keys(m.cfg.Env)) {
		c.Env = setEnv(c.Env, k, m.cfg.Env[k])
	}
	for _, p := range m.cfg.Ports {
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		c.ExposedPorts[fmt.Sprintf("%d/tcp", p)] = struct{}{}
	}
	switch {
	case m.cfg.User != "":
		c.User = m.cfg.User
	case on.scratch():
		c.User = nobody
	}
	if c.WorkingDir == "" || c.WorkingDir == "/" {
		c.WorkingDir = m.cfg.Path
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	maps.Copy(c.Labels, m.labels(on))
}

// labels says where the image comes from, in OCI's words.
func (m *making) labels(on base) map[string]string {
	const prefix = "org.opencontainers.image."
	all := map[string]string{
		prefix + "revision": m.job.Revision.Commit,
		prefix + "source":   m.job.Revision.Repository,
		prefix + "created":  m.created().Format(time.RFC3339),
	}
	if !on.scratch() {
		all[prefix+"base.digest"] = on.digest.String()
		all[prefix+"base.name"] = on.name
	}
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}

// setEnv replaces or adds a variable.
func setEnv(env []string, name, value string) []string {
	for i, e := range env {
		if k, _, _ := strings.Cut(e, "="); k == name {
			env = slices.Clone(env)
			env[i] = name + "=" + value
			return env
		}
	}
	return append(env, name+"="+value)
}
