package buildspec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// mostTasks bounds the builds of a batch, as CodeBuild does.
const mostTasks = 100

// taskName is what the task of a batch may be called.
var taskName = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)

func (r *reader) batch(of entry) *Batch {
	b := &Batch{}
	valid := []string{"fast-fail", "build-list", "build-graph", "build-matrix", "build-fanout"}
	for _, e := range r.mapping(of.value, "batch") {
		switch e.key {
		case "fast-fail":
			b.FastFail = r.yes(e.value, "batch.fast-fail")
		case "build-list", "build-graph":
			b.Tasks = append(b.Tasks, r.tasks(e)...)
		case "build-matrix":
			b.Matrix = r.matrix(e.value)
		case "build-fanout":
			b.Fanout = r.fanout(e)
		default:
			r.unknown(e, "batch.", valid)
		}
	}
	if b.Size() == 0 && len(r.problems) == 0 {
		r.problem(of.at, "add build-list, build-graph, build-matrix or build-fanout", "the batch has no builds")
	}
	if b.Size() > mostTasks {
		r.problem(of.at, "", "the batch has more than %d builds", mostTasks)
	}
	if len(r.problems) == 0 {
		r.graph(of, b.Expand())
	}
	return b
}

func (r *reader) tasks(of entry) []Task {
	at := "batch." + of.key
	sequence, ok := r.resolve(of.value).(*ast.SequenceNode)
	if !ok {
		r.problem(of.value, "begin each build with a dash", "%s must be a list", at)
		return nil
	}
	var found []Task
	for i, n := range sequence.Values {
		t := r.task(n, at+"["+strconv.Itoa(i)+"]", of.key == "build-graph")
		if of.key == "build-graph" && t.Identifier == "" {
			r.problem(n, "add an identifier", "%s[%d] has no identifier", at, i)
		}
		found = append(found, t)
	}
	return found
}

func (r *reader) task(n ast.Node, at string, graph bool) Task {
	var t Task
	valid := []string{"identifier", "buildspec", "ignore-failure", "env", "debug-session"}
	if graph {
		valid = append(valid, "depend-on")
	}
	for _, e := range r.mapping(n, at) {
		what := at + "." + e.key
		switch {
		case e.key == "identifier":
			t.Identifier = r.text(e.value, what)
			if !taskName.MatchString(t.Identifier) {
				r.problem(e.value, "use letters, digits and underscores", "%s is %q", what, t.Identifier)
			}
		case e.key == "buildspec":
			t.Buildspec = r.text(e.value, what)
		case e.key == "ignore-failure":
			t.IgnoreFailure = r.yes(e.value, what)
		case e.key == "env":
			t.Env = r.taskEnv(e.value, what)
		case e.key == "depend-on" && graph:
			t.DependOn = r.list(e.value, what)
		case e.key == "debug-session":
			r.debugSession(e, at)
		default:
			r.unknown(e, at+".", valid)
		}
	}
	return t
}

func (r *reader) debugSession(e entry, at string) {
	if r.yes(e.value, at+"."+e.key) {
		r.meaningless(e, at+".", "the directory of a failed build can be looked at where it ran")
	}
}

func (r *reader) taskEnv(n ast.Node, at string) TaskEnv {
	var env TaskEnv
	for _, e := range r.mapping(n, at) {
		what := at + "." + e.key
		switch e.key {
		case "compute-type":
			env.ComputeType = r.text(e.value, what)
			r.meaningless(e, at+".", "a build has what its machine or Pod has")
		case "fleet":
			env.Fleet = r.text(e.value, what)
			r.meaningless(e, at+".", "a build runs where its action says")
		case "image":
			env.Image = r.text(e.value, what)
		case "type":
			env.Type = r.text(e.value, what)
		case "privileged-mode":
			if env.Privileged = r.yes(e.value, what); env.Privileged {
				r.meaningless(e, at+".", "the action says whether its Pod is privileged")
			}
		case "variables":
			env.Variables = r.variables(e.value, what)
		default:
			r.unknown(e, at+".", []string{"compute-type", "fleet", "image", "type", "privileged-mode", "variables"})
		}
	}
	return env
}

func (r *reader) matrix(n ast.Node) *Matrix {
	m := &Matrix{}
	for _, e := range r.mapping(n, "batch.build-matrix") {
		switch e.key {
		case "static":
			r.static(e.value, m)
		case "dynamic":
			r.dynamic(e.value, m)
		default:
			r.unknown(e, "batch.build-matrix.", []string{"static", "dynamic"})
		}
	}
	return m
}

func (r *reader) static(n ast.Node, m *Matrix) {
	const at = "batch.build-matrix.static"
	for _, e := range r.mapping(n, at) {
		switch e.key {
		case "ignore-failure":
			m.IgnoreFailure = r.yes(e.value, at+"."+e.key)
		case "env":
			m.Env = r.taskEnv(e.value, at+"."+e.key)
		case "debug-session":
			r.debugSession(e, at)
		default:
			r.unknown(e, at+".", []string{"ignore-failure", "env", "debug-session"})
		}
	}
}

func (r *reader) dynamic(n ast.Node, m *Matrix) {
	const at = "batch.build-matrix.dynamic"
	for _, e := range r.mapping(n, at) {
		switch e.key {
		case "buildspec":
			m.Buildspecs = r.list(e.value, at+"."+e.key)
		case "env":
			r.axes(e.value, at+"."+e.key, m)
		default:
			r.unknown(e, at+".", []string{"buildspec", "env"})
		}
	}
}

func (r *reader) axes(n ast.Node, at string, m *Matrix) {
	for _, e := range r.mapping(n, at) {
		switch e.key {
		case "compute-type":
			m.ComputeTypes = r.list(e.value, at+"."+e.key)
			r.meaningless(e, at+".", "a build has what its machine or Pod has")
		case "image":
			m.Images = r.list(e.value, at+"."+e.key)
		case "variables":
			for _, v := range r.mapping(e.value, at+".variables") {
				r.name(v.at, v.key)
				m.Variables = append(m.Variables, Axis{Name: v.key, Values: r.list(v.value, at+".variables."+v.key)})
			}
		default:
			r.unknown(e, at+".", []string{"compute-type", "image", "variables"})
		}
	}
}

func (r *reader) fanout(of entry) *Fanout {
	f := &Fanout{}
	for _, e := range r.mapping(of.value, "batch.build-fanout") {
		what := "batch.build-fanout." + e.key
		switch e.key {
		case "parallelism":
			n, err := strconv.Atoi(r.text(e.value, what))
			if err != nil || n < 1 || n > mostTasks {
				r.problem(e.value, "write a number from 1 to 100", "%s is %q", what, r.text(e.value, what))
				continue
			}
			f.Parallelism = n
		case "ignore-failure":
			f.IgnoreFailure = r.yes(e.value, what)
		default:
			r.unknown(e, "batch.build-fanout.", []string{"parallelism", "ignore-failure"})
		}
	}
	if f.Parallelism == 0 && len(r.problems) == 0 {
		r.problem(of.at, "add parallelism", "batch.build-fanout does not say how many builds there are")
	}
	return f
}

// graph checks that each task has a name of its own and can begin once.
func (r *reader) graph(of entry, tasks []Task) {
	seen := map[string]bool{}
	for _, t := range tasks {
		if seen[t.Identifier] {
			r.problem(of.at, "", "two builds of the batch have the identifier %q", t.Identifier)
		}
		seen[t.Identifier] = true
	}
	for _, t := range tasks {
		for _, d := range t.DependOn {
			if !seen[d] {
				hint := ""
				if best := nearest(d, identifiers(tasks)); best != "" {
					hint = "did you mean " + best + "?"
				}
				r.problem(of.at, hint, "build %q of the batch depends on %q, which is no build of it", t.Identifier, d)
			}
		}
	}
	if stuck := Stuck(tasks); len(stuck) > 0 && len(r.problems) == 0 {
		r.problem(of.at, "", "the builds %s of the batch wait for each other", strings.Join(stuck, ", "))
	}
}

func identifiers(tasks []Task) []string {
	var names []string
	for _, t := range tasks {
		names = append(names, t.Identifier)
	}
	slices.Sort(names)
	return names
}
