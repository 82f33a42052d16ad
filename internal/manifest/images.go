package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// SetImages gives containers their images. A key of images names containers,
// init containers included, in three ways; where several keys name the same
// container, the earlier way wins:
//
//  1. the repository of the image, "ghcr.io/acme/web";
//  2. the name of the container, "web";
//  3. the last element of the repository, "web" for "ghcr.io/acme/web:1.2".
//
// A key that gives no container its image, because it names none or others name
// the same ones in an earlier way, is an error that lists the images there are.
// A container that has an image already counts as named by its key before all
// else, so that doing it twice changes nothing more.
func SetImages(objs []Object, images map[string]string) ([]Change, error) {
	keys := slices.Sorted(maps.Keys(images))
	for _, key := range keys {
		if !imageReference.MatchString(images[key]) {
			return nil, &Error{Message: fmt.Sprintf("image for %q is %q, which is not an image reference", key, images[key]),
				Hint: "write something like registry.example.com/web@sha256:..., or a variable of an image action, #{image.ImageURI}"}
		}
	}
	all := imagesOf(objs)
	chosen := make([]string, len(all)) // the key for each container
	for i, c := range all {
		best := 0
		for _, key := range keys {
			if rank := matchImage(key, images[key], c.container); rank > 0 && (best == 0 || rank < best) {
				best, chosen[i] = rank, key
			}
		}
	}
	for _, key := range keys {
		if !givesImage(key, images, all, chosen) {
			return nil, unmatchedImage(key, images[key], all, chosen)
		}
	}
	var changes []Change
	for i, c := range all {
		image := images[chosen[i]]
		if chosen[i] == "" || c.image() == image {
			continue
		}
		changes = append(changes, change(c.object, Change{Kind: Replaced, Field: c.field + ".image", Reason: "image " + chosen[i]}, c.value["image"], image))
		c.value["image"] = image
	}
	return changes, nil
}

// givesImage reports whether a container gets its image by key, or by another
// key that says the same of it.
func givesImage(key string, images map[string]string, all []placed, chosen []string) bool {
	for i, c := range all {
		if chosen[i] != "" && images[chosen[i]] == images[key] && matchImage(key, images[key], c.container) > 0 {
			return true
		}
	}
	return false
}

// placed is a container and the object it stands in.
type placed struct {
	container
	object Object
}

func imagesOf(objs []Object) []placed {
	var all []placed
	for _, o := range objs {
		for _, c := range containers(o.Unstructured) {
			all = append(all, placed{container: c, object: o})
		}
	}
	return all
}

// matchImage is the way in which key names the container, from 1, or 0.
func matchImage(key, image string, c container) int {
	repository := Repository(c.image())
	switch {
	case key == "":
		return 0
	case c.image() == image && image != "":
		return 1 // it has it already
	case key == repository && repository != "":
		return 2
	case key == c.name:
		return 3
	case key == lastElement(repository):
		return 4
	}
	return 0
}

func unmatchedImage(key, image string, all []placed, chosen []string) error {
	for i, c := range all {
		if matchImage(key, image, c.container) > 0 {
			return &Error{Message: fmt.Sprintf("image %q is given to no container: %q names container %s of %s more exactly", key, chosen[i], c.name, Ref(c.object.Unstructured)),
				Hint: "remove one of the two"}
		}
	}
	var names, there []string
	for _, c := range all {
		if c.image() == "" {
			continue
		}
		names = append(names, c.name, Repository(c.image()), lastElement(Repository(c.image())))
		there = append(there, fmt.Sprintf("%s (container %s of %s)", c.image(), c.name, Ref(c.object.Unstructured)))
	}
	e := &Error{Message: fmt.Sprintf("no container has the image or the name %q", key)}
	if len(there) == 0 {
		e.Hint = "the manifests have no containers with images"
		return e
	}
	slices.Sort(there)
	e.Hint = didYouMean(key, names) + "there are " + strings.Join(atMost(slices.Compact(there), 10), ", ")
	return e
}

// Repository is an image reference without tag and digest.
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		image = image[:i]
	}
	return image
}

// Tag is the tag of an image reference, or empty.
func Tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	return strings.TrimPrefix(image[len(Repository(image)):], ":")
}

func lastElement(repository string) string { return repository[strings.LastIndex(repository, "/")+1:] }

var imageReference = regexp.MustCompile(`^[A-Za-z0-9\[][A-Za-z0-9._:/\[\]-]*(@[a-z0-9]+:[A-Fa-f0-9]{32,})?$`)
