package buildah

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/dockerfile"
)

// buildArgs is the command line that builds. Secrets are in files, of which it
// has the names.
func (w *work) buildArgs() ([]string, error) {
	b := w.what
	args := []string{
		"build", "--layers", "--format", "oci", "--timestamp", "0", "--network", "host", "--isolation", "oci", "--cgroup-manager", "cgroupfs",
		"--signature-policy", w.file("policy.json"), "--authfile", w.file("auth.json"), "--file", w.file(fileName),
	}
	if _, err := os.Stat(w.file(ignoreName)); err == nil {
		args = append(args, "--ignorefile", w.file(ignoreName))
	}
	if b.Target != "" {
		args = append(args, "--target", b.Target)
	}
	if b.NoCache {
		args = append(args, "--no-cache")
	}
	given := maps.Clone(b.Args)
	if text, err := os.ReadFile(w.file(fileName)); err == nil && !b.Time.IsZero() && strings.Contains(string(text), "SOURCE_DATE_EPOCH") && given["SOURCE_DATE_EPOCH"] == "" {
		args = append(args, "--build-arg", "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.Time.Unix(), 10))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		args = append(args, "--build-arg", name+"="+given[name])
	}
	for i, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		if strings.ContainsAny(id, ",=") {
			return nil, dockerfile.Refuse("secrets: %q is not an ID that buildah takes; write letters, digits and dashes", id)
		}
		file := w.file("secret" + strconv.Itoa(i))
		if err := os.WriteFile(file, b.Secrets[id], 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--secret", "id="+id+",src="+file)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Layouts)) {
		args = append(args, "--build-context", name+"=container-image://"+baseName(b.Layouts[name]))
	}
	if len(b.Platforms) > 0 {
		args = append(args, "--platform", strings.Join(b.Platforms, ","))
	}
	if len(b.Platforms) > 1 {
		return append(args, "--manifest", w.name, b.Context), nil
	}
	// Without a name it stays in the store as what later builds begin with.
	return append(args, "--iidfile", w.file("id"), b.Context), nil
}

// baseName is what the image out of an OCI layout is called in buildah's store.
func baseName(l dockerfile.Layout) string {
	return "localhost/towline-base:" + strings.ReplaceAll(l.Digest, ":", "-")
}

// takeLayouts copies the images out of OCI layouts into buildah's store, for FROM
// takes none from elsewhere.
func (w *work) takeLayouts(ctx context.Context) error {
	for i, name := range slices.Sorted(maps.Keys(w.what.Layouts)) {
		l := w.what.Layouts[name]
		// Buildah makes a name of the path, so it may have no capitals.
		link := w.file("layout" + strconv.Itoa(i))
		if err := os.Symlink(l.Dir, link); err != nil {
			return err
		}
		var said bytes.Buffer
		if err := w.run(ctx, &said, "pull", "--quiet", "--signature-policy", w.file("policy.json"), "oci:"+link); err != nil {
			return err
		}
		words := strings.Fields(said.String())
		if len(words) == 0 {
			return fmt.Errorf("pull %s: buildah does not say what it is", l.Dir)
		}
		if err := w.run(ctx, io.Discard, "tag", words[len(words)-1], baseName(l)); err != nil {
			return err
		}
	}
	return nil
}

// auth is what is known for the registries that the Dockerfile names, in the
// form of Docker's settings.
func (w *work) auth(ctx context.Context) ([]byte, error) {
	text, err := os.ReadFile(w.file(fileName))
	if err != nil {
		return nil, err
	}
	auths := map[string]map[string]string{}
	for _, host := range hosts(string(text), w.what.Args) {
		known, err := w.what.Credential(ctx, host)
		if err != nil {
			return nil, err
		}
		switch {
		case known == (dockerfile.Credential{}):
		case known.User == "":
			auths[host] = map[string]string{"identitytoken": known.Password}
		default:
			auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(known.User + ":" + known.Password))}
		}
	}
	return json.Marshal(map[string]any{"auths": auths})
}

var (
	imageForm = regexp.MustCompile(`(?im)^\s*FROM\s+(?:--\S+\s+)*(\S+)|--from=(\S+)`)
	argForm   = regexp.MustCompile(`(?im)^\s*ARG\s+(\w+)=["']?([^\s"']*)`)
)

// hosts are the registries of the images that a Dockerfile names, as far as they
// can be told without building it. What is none does no harm.
func hosts(text string, args map[string]string) []string {
	values := map[string]string{}
	for _, found := range argForm.FindAllStringSubmatch(text, -1) {
		values[found[1]] = found[2]
	}
	maps.Copy(values, args)
	all := map[string]bool{}
	for _, found := range imageForm.FindAllStringSubmatch(text, -1) {
		image := os.Expand(found[1]+found[2], func(name string) string {
			name, fallback, _ := strings.Cut(name, ":-")
			if v, ok := values[name]; ok {
				return v
			}
			return fallback
		})
		host, _, ok := strings.Cut(image, "/")
		if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
			host = "docker.io"
		}
		all[host] = true
	}
	return slices.Sorted(maps.Keys(all))
}
