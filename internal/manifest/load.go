package manifest

import "errors"

// Load reads the manifests at path, a slash-separated path below root: a YAML
// or JSON file, a directory of them, or a directory with a kustomization.
func Load(root, path string) ([]Object, error) {
	if _, ok := clean(path); !ok {
		return nil, &Error{Message: "manifests path leads out of the source"}
	}
	return nil, errors.New("load manifests")
}
