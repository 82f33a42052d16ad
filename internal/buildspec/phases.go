package buildspec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// phases are the phases in the order in which they run.
var phases = []string{"install", "pre_build", "build", "post_build"}

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
		switch {
		case e.key == "commands":
			p.Commands = r.commands(e.value, at+e.key)
		case e.key == "finally":
			p.Finally = r.commands(e.value, at+e.key)
		case e.key == "on-failure":
			p.OnFailure = r.onFailure(e, at)
		case e.key == "run-as":
			p.RunAs = r.runAs(e, at)
		case e.key == "runtime-versions" && of.key == "install":
			p.Runtimes = r.runtimes(e.value, at+e.key)
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

func (r *reader) runtimes(n ast.Node, what string) []Runtime {
	var found []Runtime
	for _, e := range r.mapping(n, what) {
		version := r.text(e.value, what+"."+e.key)
		if version == "" {
			version = "latest"
		}
		found = append(found, Runtime{Name: e.key, Version: version})
	}
	return found
}

const (
	// retries is how often RETRY runs a phase again when no number is given,
	// mostRetries the highest number that may be.
	retries     = 3
	mostRetries = 100
)

// retry is RETRY, RETRY-count, RETRY-regex or RETRY-count-regex, behind RETRY.
var retry = regexp.MustCompile(`(?s)^(?:-(\d+))?(?:-(.+))?$`)

func (r *reader) onFailure(e entry, at string) OnFailure {
	value := r.text(e.value, at+e.key)
	if value == Abort || value == Continue {
		return OnFailure{Action: value}
	}
	rest, ok := strings.CutPrefix(value, Retry)
	parts := retry.FindStringSubmatch(rest)
	if !ok || parts == nil {
		r.problem(e.value, "write ABORT, CONTINUE, RETRY, or RETRY-3", "%s%s is %q", at, e.key, value)
		return OnFailure{}
	}
	f := OnFailure{Action: Retry, Times: retries, Match: parts[2]}
	if parts[1] != "" {
		times, err := strconv.Atoi(parts[1])
		if err != nil || times > mostRetries {
			r.problem(e.value, "write a number from 0 to 100", "%s%s is %q", at, e.key, value)
		}
		f.Times = times
	}
	if _, err := regexp.Compile(f.Match); err != nil {
		r.problem(e.value, "", "%s%s is %q, which holds no regular expression: %v", at, e.key, value, err)
	}
	return f
}
