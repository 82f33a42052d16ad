package buildspec

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// identifier is what a secondary artifact may be called.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// artifacts reads the primary artifact and the secondary ones.
func (r *reader) artifacts(of entry) (Artifacts, []Artifacts) {
	var secondary []Artifacts
	a := r.artifact(of.value, "artifacts.", func(e entry) bool {
		if e.key != "secondary-artifacts" {
			return false
		}
		secondary = r.secondary(e)
		return true
	})
	if len(a.Files) == 0 && len(secondary) == 0 {
		r.warn(of.at, "artifacts names no files: nothing is handed on")
	}
	return a, secondary
}

func (r *reader) secondary(of entry) []Artifacts {
	var found []Artifacts
	for _, e := range r.mapping(of.value, "artifacts.secondary-artifacts") {
		if !identifier.MatchString(e.key) {
			r.problem(e.at, "use letters, digits, underscores and hyphens", "%q is not an identifier for an artifact", e.key)
		}
		at := "artifacts.secondary-artifacts." + e.key
		a := r.artifact(e.value, at+".", func(entry) bool { return false })
		a.ID = e.key
		if len(a.Files) == 0 {
			r.warn(e.at, "%s names no files: nothing is handed on", at)
		}
		found = append(found, a)
	}
	return found
}

// artifact reads one artifact; more takes the keys that not each has.
func (r *reader) artifact(n ast.Node, at string, more func(entry) bool) Artifacts {
	var a Artifacts
	valid := []string{"files", "name", "discard-paths", "base-directory", "exclude-paths", "enable-symlinks", "s3-prefix", "secondary-artifacts"}
	for _, e := range r.mapping(n, strings.TrimSuffix(at, ".")) {
		switch e.key {
		case "files":
			a.Files = r.globs(e.value, at+e.key)
		case "name":
			a.Name = r.text(e.value, at+e.key)
		case "discard-paths":
			a.DiscardPaths = r.yes(e.value, at+e.key)
		case "base-directory":
			a.BaseDirectory = r.text(e.value, at+e.key)
		case "exclude-paths":
			a.Exclude = r.globs(e.value, at+e.key)
		case "enable-symlinks":
			a.Symlinks = r.yes(e.value, at+e.key)
		case "s3-prefix":
			a.Prefix = r.text(e.value, at+e.key)
		default:
			if !more(e) {
				r.unknown(e, at, valid)
			}
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
		found = append(found, r.report(e))
	}
	return found
}

func (r *reader) report(of entry) Report {
	report, at := Report{Name: of.key, Format: ReportFormats()[0]}, "reports."+of.key+"."
	valid := []string{"files", "base-directory", "discard-paths", "file-format"}
	for _, e := range r.mapping(of.value, "reports."+of.key) {
		switch e.key {
		case "files":
			report.Files = r.globs(e.value, at+e.key)
		case "base-directory":
			report.BaseDirectory = r.text(e.value, at+e.key)
		case "discard-paths":
			report.DiscardPaths = r.yes(e.value, at+e.key)
		case "file-format":
			report.Format = strings.ToUpper(r.text(e.value, at+e.key))
			if formats := ReportFormats(); !slices.Contains(formats, report.Format) {
				r.problem(e.value, "write one of "+strings.Join(formats, ", "), "%s%s is %q, which is no report format", at, e.key, report.Format)
			}
		default:
			r.unknown(e, at, valid)
		}
	}
	return report
}

func (r *reader) cache(n ast.Node) Cache {
	var c Cache
	for _, e := range r.mapping(n, "cache") {
		switch e.key {
		case "paths":
			c.Paths = r.globs(e.value, "cache.paths")
		case "key":
			c.Key = r.text(e.value, "cache.key")
		case "fallback-keys":
			c.Fallback = r.list(e.value, "cache.fallback-keys")
		case "action":
			c.Action = r.text(e.value, "cache.action")
			if c.Action != CacheRestore && c.Action != CacheSave {
				r.problem(e.value, "write restore or save, or leave it out for both", "cache.action is %q", c.Action)
			}
		default:
			r.unknown(e, "cache.", []string{"paths", "key", "fallback-keys", "action"})
		}
	}
	return c
}
