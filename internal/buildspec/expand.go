package buildspec

import (
	"maps"
	"slices"
	"strconv"
)

// Size is how many builds the batch has. More than a thousand are not counted.
func (b Batch) Size() int {
	n := len(b.Tasks)
	if b.Matrix != nil {
		n += b.Matrix.size()
	}
	if b.Fanout != nil {
		n += b.Fanout.Parallelism
	}
	return n
}

func (m Matrix) size() int {
	n := 1
	for _, axis := range m.axes() {
		if n *= max(1, len(axis)); n > 1000 {
			return n
		}
	}
	return n
}

// axes are the values of all axes: buildspecs, images, compute types, and the
// variables in the order of the file.
func (m Matrix) axes() [][]string {
	axes := [][]string{m.Buildspecs, m.Images, m.ComputeTypes}
	for _, v := range m.Variables {
		axes = append(axes, v.Values)
	}
	return axes
}

// Expand returns the builds of the batch: those of lists and graphs, those of
// the matrix (the last variable changes first), and those of the fan-out. One
// without an identifier gets build0, build1 and so on.
func (b Batch) Expand() []Task {
	tasks := slices.Clone(b.Tasks)
	if b.Matrix != nil {
		tasks = append(tasks, b.Matrix.expand()...)
	}
	if f := b.Fanout; f != nil {
		for i := range f.Parallelism {
			tasks = append(tasks, Task{IgnoreFailure: f.IgnoreFailure, Shard: i, Shards: f.Parallelism})
		}
	}
	taken := map[string]bool{}
	for _, t := range tasks {
		taken[t.Identifier] = true
	}
	next := 0
	for i := range tasks {
		if tasks[i].Identifier != "" {
			continue
		}
		for taken["build"+strconv.Itoa(next)] {
			next++
		}
		tasks[i].Identifier = "build" + strconv.Itoa(next)
		next++
	}
	return tasks
}

func (m Matrix) expand() []Task {
	var tasks []Task
	for _, values := range combinations(m.axes()) {
		t := Task{IgnoreFailure: m.IgnoreFailure, Env: m.Env, Buildspec: values[0]}
		if values[1] != "" {
			t.Env.Image = values[1]
		}
		if values[2] != "" {
			t.Env.ComputeType = values[2]
		}
		t.Env.Variables = maps.Clone(m.Env.Variables)
		for i, v := range m.Variables {
			if t.Env.Variables == nil {
				t.Env.Variables = map[string]string{}
			}
			t.Env.Variables[v.Name] = values[3+i]
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// combinations takes one value of each axis in all ways; an empty axis gives "".
func combinations(axes [][]string) [][]string {
	all := [][]string{nil}
	for _, axis := range axes {
		if len(axis) == 0 {
			axis = []string{""}
		}
		var longer [][]string
		for _, begun := range all {
			for _, value := range axis {
				longer = append(longer, append(slices.Clone(begun), value))
			}
		}
		all = longer
	}
	return all
}

// Stuck returns the builds that can never begin, because they depend on each
// other or on one that is not there.
func Stuck(tasks []Task) []string {
	done := map[string]bool{}
	for range tasks {
		for _, t := range tasks {
			waits := func(on string) bool { return !done[on] }
			if !slices.ContainsFunc(t.DependOn, waits) {
				done[t.Identifier] = true
			}
		}
	}
	var stuck []string
	for _, t := range tasks {
		if !done[t.Identifier] {
			stuck = append(stuck, t.Identifier)
		}
	}
	return stuck
}
