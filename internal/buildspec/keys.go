package buildspec

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// phases are the phases in the order in which they run.
var phases = []string{"install", "pre_build", "build", "post_build"}

// variable is what a shell takes as the name of a variable.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reportFormats are CodeBuild's; the first is the default and the one read here.
var reportFormats = []string{
	"JUNITXML", "NUNITXML", "NUNIT3XML", "CUCUMBERJSON", "VISUALSTUDIOTRX", "TESTNGXML",
	"CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV",
}

func (r *reader) spec(root ast.Node) Spec {
	var s Spec
	valid := []string{"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
	for _, e := range r.mapping(root, "the buildspec") {
		switch e.key {
		case "version":
			s.Version = r.version(e.value)
		case "env":
			r.env(e.value, &s.Env)
		case "environment_variables": // version 0.1
			r.oldEnv(e.value, &s.Env)
		case "phases":
			s.Phases = r.phases(e)
		case "artifacts":
			s.Artifacts = r.artifacts(e.value)
		case "reports":
			s.Reports = r.reports(e.value)
		case "cache":
			r.unsupported(e, "", "the tools' own caches are kept between builds of a pipeline, other paths are not")
		case "run-as":
			r.unsupported(e, "", "the commands run as the build's own user")
		case "proxy":
			r.unsupported(e, "", "the server's proxy variables are passed on")
		case "batch":
			r.unsupported(e, "", "one build runs, without the batch")
		default:
			r.unknown(e, "", valid)
		}
	}
	if s.Version == "" && len(r.problems) == 0 {
		r.problem(root, `add "version: 0.2"`, "the version is missing")
	}
	if len(s.Phases) == 0 && len(r.problems) == 0 {
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

func (r *reader) env(n ast.Node, env *Env) {
	valid := []string{"shell", "variables", "parameter-store", "secrets-manager", "exported-variables", "git-credential-helper"}
	for _, e := range r.mapping(n, "env") {
		switch e.key {
		case "shell":
			env.Shell = r.shell(e.value)
		case "variables":
			env.Variables = r.variables(e.value, "env.variables")
		case "exported-variables":
			env.Exported = r.list(e.value, "env.exported-variables")
			for _, name := range env.Exported {
				r.name(e.value, name)
			}
		case "parameter-store", "secrets-manager":
			r.unsupported(e, "env.", "its variables are not set")
		case "git-credential-helper":
			r.unsupported(e, "env.", "git asks nobody for credentials")
		default:
			r.unknown(e, "env.", valid)
		}
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
	}
	return vars
}

func (r *reader) name(at ast.Node, name string) {
	if !variable.MatchString(name) {
		r.problem(at, "use letters, digits and underscores", "%q is not a name for a variable", name)
	}
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

// phases reads the phases. An unknown one is an error, not a warning: a build
// that leaves out its tests because of a typing error must not be green.
func (r *reader) phases(of entry) []Phase {
	byName := map[string]Phase{}
	for _, e := range r.mapping(of.value, "phases") {
		if !slices.Contains(phases, e.key) {
			hint := "the phases are " + strings.Join(phases, ", ")
			if best := nearest(e.key, phases); best != "" {
				hint = "did you mean " + best + "?"
			}
			r.problem(e.at, hint, "there is no phase %q", e.key)
			continue
		}
		byName[e.key] = r.phase(e)
	}
	var found []Phase
	commands := 0
	for _, name := range phases {
		if p, ok := byName[name]; ok {
			found = append(found, p)
			commands += len(p.Commands) + len(p.Finally)
		}
	}
	if commands == 0 && len(r.problems) == 0 {
		r.problem(of.at, `add "commands:" to a phase`, "the phases have no commands")
	}
	return found
}

func (r *reader) phase(of entry) Phase {
	p, at := Phase{Name: of.key}, "phases."+of.key+"."
	valid := []string{"run-as", "on-failure", "commands", "finally"}
	if of.key == "install" {
		valid = append(valid, "runtime-versions")
	}
	for _, e := range r.mapping(of.value, "phases."+of.key) {
		switch e.key {
		case "commands":
			p.Commands = r.commands(e.value, at+e.key)
		case "finally":
			p.Finally = r.commands(e.value, at+e.key)
		case "on-failure":
			p.OnFailure = r.onFailure(e, at)
		case "run-as":
			r.unsupported(e, at, "the commands run as the build's own user")
		case "runtime-versions":
			r.unsupported(e, at, "the versions found on this machine are used")
		default:
			r.unknown(e, at, valid)
		}
	}
	return p
}

func (r *reader) commands(n ast.Node, what string) []string {
	commands := r.list(n, what)
	for _, c := range commands {
		if strings.ContainsRune(c, 0) {
			r.problem(n, "", "a command in %s holds a NUL character", what)
		}
	}
	return commands
}

func (r *reader) onFailure(e entry, at string) string {
	value := r.text(e.value, at+e.key)
	switch {
	case value == Abort || value == Continue:
		return value
	case value == "RETRY" || strings.HasPrefix(value, "RETRY-"):
		r.warn(e.at, "%s%s: %s is not supported yet: a failed phase is not run again", at, e.key, value)
	default:
		r.problem(e.value, "write ABORT or CONTINUE", "%s%s is %q", at, e.key, value)
	}
	return ""
}

func (r *reader) artifacts(n ast.Node) Artifacts {
	var a Artifacts
	valid := []string{"files", "name", "discard-paths", "base-directory", "exclude-paths", "enable-symlinks", "s3-prefix", "secondary-artifacts"}
	for _, e := range r.mapping(n, "artifacts") {
		switch e.key {
		case "files":
			a.Files = r.globs(e.value, "artifacts.files")
		case "name":
			a.Name = r.text(e.value, "artifacts.name")
		case "discard-paths":
			a.DiscardPaths = r.yes(e.value, "artifacts.discard-paths")
		case "base-directory":
			a.BaseDirectory = r.text(e.value, "artifacts.base-directory")
		case "exclude-paths":
			r.unsupported(e, "artifacts.", "the files it names are in the artifact")
		case "enable-symlinks":
			r.unsupported(e, "artifacts.", "symbolic links are kept as links")
		case "s3-prefix":
			r.unsupported(e, "artifacts.", "the artifact goes to the artifact store")
		case "secondary-artifacts":
			r.unsupported(e, "artifacts.", "only the primary artifact is made")
		default:
			r.unknown(e, "artifacts.", valid)
		}
	}
	return a
}

func (r *reader) globs(n ast.Node, what string) []string {
	globs := r.list(n, what)
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil {
			r.problem(n, "", "%q in %s is not a pattern for files", g, what)
		}
	}
	return globs
}

func (r *reader) reports(n ast.Node) []Report {
	var found []Report
	for _, e := range r.mapping(n, "reports") {
		if report, ok := r.report(e); ok {
			found = append(found, report)
		}
	}
	return found
}

// report reads a report group; one in a format that is not read here has no
// effect and is left out.
func (r *reader) report(of entry) (Report, bool) {
	report, at := Report{Name: of.key}, "reports."+of.key+"."
	read := true
	valid := []string{"files", "base-directory", "discard-paths", "file-format"}
	for _, e := range r.mapping(of.value, "reports."+of.key) {
		switch e.key {
		case "files":
			report.Files = r.globs(e.value, at+e.key)
		case "base-directory":
			report.BaseDirectory = r.text(e.value, at+e.key)
		case "discard-paths": // concerns the copy that AWS keeps of the files
			r.yes(e.value, at+e.key)
		case "file-format":
			read = r.format(e, at)
		default:
			r.unknown(e, at, valid)
		}
	}
	return report, read
}

func (r *reader) format(e entry, at string) bool {
	format := strings.ToUpper(r.text(e.value, at+e.key))
	if !slices.Contains(reportFormats, format) {
		hint := "write JUNITXML"
		r.problem(e.value, hint, "%s%s is %q, which is no report format", at, e.key, format)
		return false
	}
	if format != reportFormats[0] {
		r.warn(e.at, "%s%s: %s is not supported yet: the report is not read", at, e.key, format)
		return false
	}
	return true
}
