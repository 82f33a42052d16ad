package definition

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// dockerfile checks that what goes with a Dockerfile stands with one, and what
// the Dockerfile itself says does not.
func (c *compiler) dockerfile(at string, i pipeline.Image) {
	layered := map[string]bool{
		"base": i.Base != "", "path": i.Path != "", "entrypoint": len(i.Entrypoint) > 0, "env": len(i.Env) > 0, "ports": len(i.Ports) > 0, "user": i.User != "",
	}
	built := map[string]bool{
		"context": i.Context != "", "target": i.Target != "", "args": len(i.Args) > 0, "secrets": len(i.Secrets) > 0, "bases": len(i.Bases) > 0, "noCache": i.NoCache,
	}
	if i.Dockerfile == "" {
		for _, key := range given(built) {
			c.problem(at+"."+key, "add dockerfile: Dockerfile, or take it away", "%s goes with dockerfile", key)
		}
		return
	}
	for _, key := range given(layered) {
		c.problem(at+"."+key, "take it away; the Dockerfile says it", "%s does not go with dockerfile", key)
	}
	for key, file := range map[string]string{"dockerfile": i.Dockerfile, "context": i.Context} {
		if path.IsAbs(file) || slices.Contains(strings.Split(file, "/"), "..") {
			c.problem(at+"."+key, "write a path from the top of the source, such as docker/Dockerfile", "%q is not a path within the source", file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Bases)) {
		if dir, ok := strings.CutPrefix(i.Bases[name], "oci:"); !ok || dir == "" {
			c.problem(at+".bases."+name, "write oci: and the path of an OCI layout directory", "the base %q is %q", name, i.Bases[name])
		}
	}
}

// given are the keys that are there, sorted.
func given(keys map[string]bool) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if keys[key] {
			all = append(all, key)
		}
	}
	return all
}
