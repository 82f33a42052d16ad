package buildspec

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

var (
	// variable is what a shell takes as the name of a variable.
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// user is what Linux takes as the name of a user.
	user = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)
)

// places are where keys belong that are often found elsewhere.
var places = map[string]string{
	"commands": "phases.build", "runtime-versions": "phases.install", "on-failure": "a phase", "finally": "a phase",
	"variables": "env", "parameter-store": "env", "secrets-manager": "env", "exported-variables": "env",
	"git-credential-helper": "env", "shell": "env",
	"files": "artifacts", "base-directory": "artifacts", "discard-paths": "artifacts", "secondary-artifacts": "artifacts",
	"build-list": "batch", "build-graph": "batch", "build-matrix": "batch", "build-fanout": "batch", "fast-fail": "batch",
	"paths": "cache",
}

func (r *reader) spec(root ast.Node) Spec {
	var s Spec
	valid := []string{"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
	for _, e := range r.mapping(root, "the buildspec") {
		switch e.key {
		case "version":
			s.Version = r.version(e.value)
		case "run-as":
			s.RunAs = r.runAs(e, "")
		case "env":
			r.env(e.value, &s.Env)
		case "environment_variables": // version 0.1
			r.oldEnv(e.value, &s.Env)
		case "phases":
			s.Phases = r.phases(e)
		case "artifacts":
			s.Artifacts, s.Secondary = r.artifacts(e)
		case "reports":
			s.Reports = r.reports(e.value)
		case "cache":
			s.Cache = r.cache(e.value)
		case "proxy":
			r.proxy(e)
		case "batch":
			s.Batch = r.batch(e)
		default:
			r.unknown(e, "", valid)
		}
	}
	if s.Version == "" && len(r.problems) == 0 {
		r.problem(root, `add "version: 0.2"`, "the version is missing")
	}
	if len(s.Phases) == 0 && s.Batch == nil && len(r.problems) == 0 {
		r.problem(root, `add "phases: {build: {commands: [...]}}"`, "there are no commands to run")
	}
	return s
}

func (r *reader) version(n ast.Node) string {
	v := r.text(n, "version")
	if v != "0.1" && v != "0.2" {
		r.problem(n, "write 0.2", "version %q is unknown", v)
	}
	return v
}

func (r *reader) runAs(e entry, at string) string {
	name := r.text(e.value, at+e.key)
	if name != "" && !user.MatchString(name) {
		r.problem(e.value, "write the name of a user", "%s%s is %q", at, e.key, name)
		return ""
	}
	return name
}

// proxy reads what AWS does for its own traffic through a proxy server of the
// user's. Here nothing of that leaves the machine by another way than a build's
// own requests do.
func (r *reader) proxy(of entry) {
	for _, e := range r.mapping(of.value, "proxy") {
		switch e.key {
		case "upload-artifacts", "logs":
			r.yes(e.value, "proxy."+e.key)
		default:
			r.unknown(e, "proxy.", []string{"upload-artifacts", "logs"})
		}
	}
	r.meaningless(of, "", "artifacts and logs go to Towline itself; the commands get the server's proxy variables")
}

func (r *reader) env(n ast.Node, env *Env) {
	var exported ast.Node
	valid := []string{"shell", "variables", "parameter-store", "secrets-manager", "exported-variables", "git-credential-helper"}
	for _, e := range r.mapping(n, "env") {
		switch e.key {
		case "shell":
			env.Shell = r.shell(e.value)
		case "variables":
			env.Variables = r.variables(e.value, "env.variables")
		case "exported-variables":
			env.Exported = r.list(e.value, "env.exported-variables")
			exported = e.value
		case "parameter-store":
			env.Parameters = r.kept(e.value, "env.parameter-store", "write the name of a parameter", func(text string) bool { return text != "" })
		case "secrets-manager":
			env.Secrets = r.kept(e.value, "env.secrets-manager", "write secret-id:json-key:version-stage:version-id", namesSecret)
		case "git-credential-helper":
			env.GitCredentials = r.yes(e.value, "env.git-credential-helper")
		default:
			r.unknown(e, "env.", valid)
		}
	}
	for _, name := range env.Exported {
		r.name(exported, name)
		_, parameter := env.Parameters[name]
		if _, secret := env.Secrets[name]; secret || parameter {
			r.warn(exported, "env.exported-variables: %s is not exported: its value is a secret", name)
		}
	}
}

// reserved warns of variables that are set here, whatever the file says.
func (r *reader) reserved(e entry, what string) {
	if strings.HasPrefix(e.key, "CODEBUILD_") {
		r.warn(e.at, "%s.%s: names that begin with CODEBUILD_ are reserved", what, e.key)
	}
}

func (r *reader) shell(n ast.Node) string {
	shell := r.text(n, "env.shell")
	if shell == "powershell.exe" {
		r.problem(n, "write bash or /bin/sh", "env.shell is powershell.exe, which runs on Windows only")
	}
	if strings.ContainsAny(shell, " \t\n") {
		r.problem(n, "write bash or /bin/sh", "env.shell is %q, it must be one program", shell)
	}
	return shell
}

func (r *reader) variables(n ast.Node, what string) map[string]string {
	vars := map[string]string{}
	for _, e := range r.mapping(n, what) {
		r.name(e.at, e.key)
		vars[e.key] = r.text(e.value, what+"."+e.key)
		if strings.ContainsRune(vars[e.key], 0) {
			r.problem(e.value, "", "the value of %s holds a NUL character", e.key)
		}
		r.reserved(e, what)
	}
	return vars
}

func (r *reader) name(at ast.Node, name string) {
	if !variable.MatchString(name) {
		r.problem(at, "use letters, digits and underscores", "%q is not a name for a variable", name)
	}
}

// kept reads variables whose values are kept elsewhere; right says whether a
// text names such a value.
func (r *reader) kept(n ast.Node, what, hint string, right func(string) bool) map[string]string {
	found := map[string]string{}
	for _, e := range r.mapping(n, what) {
		r.name(e.at, e.key)
		r.reserved(e, what)
		found[e.key] = r.text(e.value, what+"."+e.key)
		if !right(found[e.key]) {
			r.problem(e.value, hint, "%s.%s is %q", what, e.key, found[e.key])
		}
	}
	return found
}

// namesSecret says whether a text is secret-id:json-key:version-stage:version-id,
// of which all but the first may be missing or empty. The secret-id may be an
// ARN.
func namesSecret(text string) bool {
	parts := strings.Split(text, ":")
	id := 1
	if parts[0] == "arn" {
		id = 7 // arn:aws:secretsmanager:region:account:secret:name
	}
	return len(parts) >= id && len(parts) <= id+3 && parts[id-1] != ""
}

func (r *reader) oldEnv(n ast.Node, env *Env) {
	for _, e := range r.mapping(n, "environment_variables") {
		if e.key != "plaintext" {
			r.unknown(e, "environment_variables.", []string{"plaintext"})
			continue
		}
		env.Variables = r.variables(e.value, "environment_variables.plaintext")
	}
}
