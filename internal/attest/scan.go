package attest

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Package is one thing in an image that has a name and a version of its own.
type Package struct {
	Kind      string `json:"kind"` // as in a package URL: deb, apk, golang, maven, npm, pypi
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
	Arch      string `json:"arch,omitempty"`
	License   string `json:"license,omitempty"` // as the package says it
}

// contents is what one layer adds to the image and takes away.
type contents struct {
	// Packages are by the file that tells of them.
	Packages map[string][]Package `json:"packages,omitempty"`
	// Removed are files and directories of the layers below that are gone, and
	// Emptied directories of which only what this layer adds is left.
	Removed []string `json:"removed,omitempty"`
	Emptied []string `json:"emptied,omitempty"`
	// Unread is what could tell of packages and was not read, with the reason.
	Unread []string `json:"unread,omitempty"`
	// System is the distribution's ID, such as debian.
	System string `json:"system,omitempty"`
}

// inventory is what there is in an image.
type inventory struct {
	Packages []located
	Unread   []string
	System   string
}

type located struct {
	Package
	At string // a file in the image
}

// inspect lists what is in one image: what its base has, which is looked at once
// for each layer, and what the files of the artifact are.
func (a *Attestor) inspect(ctx context.Context, image Image, p Platform) (inventory, error) {
	layers, err := p.Image.Layers()
	if err != nil {
		return inventory{}, err
	}
	var all []contents
	if image.Files != "" {
		layers = layers[:len(layers)-1]
	}
	for _, layer := range layers {
		found, err := a.layer(ctx, layer, image.Say)
		if err != nil {
			return inventory{}, err
		}
		all = append(all, found)
	}
	if image.Files == "" {
		return merge(all), nil
	}
	top, err := scanFiles(ctx, image.Files, image.Path)
	if err != nil {
		return inventory{}, err
	}
	return merge(append(all, top)), nil
}

// layer is what a layer holds, read from the cache when it was looked at before.
func (a *Attestor) layer(ctx context.Context, layer v1.Layer, say func(string, ...any)) (contents, error) {
	digest, err := layer.Digest()
	if err != nil {
		return contents{}, err
	}
	// The number changes with what is looked for.
	file := filepath.Join(a.Cache, digest.Algorithm+"-"+digest.Hex+".2.json")
	if text, err := os.ReadFile(file); a.Cache != "" && err == nil {
		var found contents
		if json.Unmarshal(text, &found) == nil {
			return found, nil
		}
	}
	if size, err := layer.Size(); err == nil {
		say("look into layer %s of the base, %.1f MB, for its packages; the next image on it finds them known", digest.Hex[:12], float64(size)/1e6)
	}
	r, err := layer.Uncompressed()
	if err != nil {
		return contents{}, err
	}
	defer r.Close()
	found, err := scanTar(ctx, r)
	if err != nil {
		return contents{}, fmt.Errorf("read layer %s: %w", digest, err)
	}
	if a.Cache != "" {
		if err := keep(file, found); err != nil {
			a.Logger.WarnContext(ctx, "keep what is in a layer", "error", err)
		}
	}
	return found, nil
}

func keep(file string, found contents) error {
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".layer-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), file)
}

// merge lays layers over each other, the lowest first.
func merge(layers []contents) inventory {
	files := map[string][]Package{}
	var in inventory
	for _, layer := range layers {
		for name := range files {
			gone := func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") || dir == "." }
			if slices.ContainsFunc(layer.Removed, gone) || slices.ContainsFunc(layer.Emptied, gone) {
				delete(files, name)
			}
		}
		maps.Copy(files, layer.Packages)
		in.Unread = append(in.Unread, layer.Unread...)
		if layer.System != "" {
			in.System = layer.System
		}
	}
	for name, packages := range files {
		for _, p := range packages {
			if p.Namespace == "" && (p.Kind == "deb" || p.Kind == "apk") {
				p.Namespace = in.System
			}
			in.Packages = append(in.Packages, located{p, name})
		}
	}
	slices.SortFunc(in.Packages, func(a, b located) int { return strings.Compare(a.order(), b.order()) })
	in.Packages = slices.Compact(in.Packages)
	slices.Sort(in.Unread)
	in.Unread = slices.Compact(in.Unread)
	return in
}

func (l located) order() string {
	return strings.Join([]string{l.Kind, l.Namespace, l.Name, l.Version, l.Arch, l.At, l.License}, "\x00")
}

// add takes in what one file tells.
func (c *contents) add(f file) error {
	packages, system, err := f.read()
	if why, ok := errors.AsType[*unreadError](err); ok {
		c.Unread = append(c.Unread, fmt.Sprintf("%s: %s", f.name, why.why))
		err = nil
	}
	if err != nil {
		return err
	}
	if system != "" {
		c.System = system
	}
	// Also without packages: it replaces the file of a layer below.
	if packages != nil || f.tells() {
		c.Packages[f.name] = packages
	}
	return nil
}

// scanTar looks through a layer.
func scanTar(ctx context.Context, r io.Reader) (contents, error) {
	found := contents{Packages: map[string][]Package{}}
	archive := tar.NewReader(bufio.NewReaderSize(r, 1<<18))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		dir, base := path.Split(name)
		switch hidden, ok := strings.CutPrefix(base, ".wh."); {
		case base == ".wh..wh..opq":
			found.Emptied = append(found.Emptied, path.Clean(dir))
			continue
		case ok:
			found.Removed = append(found.Removed, path.Join(dir, hidden))
			continue
		case h.Typeflag != tar.TypeReg:
			continue
		}
		f := file{name: name, size: h.Size, runs: h.Mode&0o111 != 0, stream: archive}
		if err := found.add(f); err != nil {
			return found, err
		}
	}
}

// scanFiles looks through a directory whose files are at a path of the image.
func scanFiles(ctx context.Context, dir, at string) (contents, error) {
	found := contents{Packages: map[string][]Package{}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return found, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !d.Type().IsRegular():
			return nil
		}
		opened, err := root.Open(name)
		if err != nil {
			return err
		}
		defer opened.Close()
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		inImage := strings.TrimPrefix(path.Join("/", at, name), "/")
		return found.add(file{name: inImage, size: info.Size(), runs: info.Mode()&0o111 != 0, stream: opened, direct: opened})
	})
	return found, err
}
