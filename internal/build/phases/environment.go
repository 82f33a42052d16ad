//go:build linux

package phases

import (
	"maps"
	"path/filepath"

	"github.com/towline/towline/internal/build"
)

// Places are the directories of a build as its commands see them.
type Places struct {
	Source string // where the commands begin
	Inputs string // of further artifacts, one directory each
	Home   string
	Temp   string
	Cache  string // of the tools, kept from build to build
}

// Environment is the environment of the commands but for the services: that of
// the machine or the image, the tools' caches over it, and then the build's own.
func (p Places) Environment(machine map[string]string, b build.Build) map[string]string {
	env := maps.Clone(machine)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, map[string]string{
		"HOME":              p.Home,
		"USER":              "build",
		"LOGNAME":           "build",
		"LANG":              "C.UTF-8",
		"TMPDIR":            p.Temp,
		"XDG_CACHE_HOME":    p.Cache,
		"GOCACHE":           filepath.Join(p.Cache, "go-build"),
		"GOMODCACHE":        filepath.Join(p.Cache, "go-mod"),
		"GOFLAGS":           "-modcacherw",
		"npm_config_cache":  filepath.Join(p.Cache, "npm"),
		"YARN_CACHE_FOLDER": filepath.Join(p.Cache, "yarn"),
		"GRADLE_USER_HOME":  filepath.Join(p.Cache, "gradle"),
		"MAVEN_OPTS":        "-Dmaven.repo.local=" + filepath.Join(p.Cache, "maven"),
		"PIP_CACHE_DIR":     filepath.Join(p.Cache, "pip"),
	})
	maps.Copy(env, b.Env)
	env["CODEBUILD_SRC_DIR"] = p.Source
	for _, name := range b.Inputs {
		env["CODEBUILD_SRC_DIR_"+build.Variable(name)] = filepath.Join(p.Inputs, name)
	}
	return env
}
