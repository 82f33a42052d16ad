package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// readSimpleCov reads .resultset.json of SimpleCov, the runs of several
// commands, whose lines are put together; and coverage.json, which its JSON
// formatter writes.
func readSimpleCov(r io.Reader, into *found) error {
	var top map[string]json.RawMessage
	d := json.NewDecoder(r)
	if err := d.Decode(&top); err != nil {
		return noJSON(err)
	}
	files, runs := map[string]*rubyFile{}, 0
	for _, name := range slices.Sorted(maps.Keys(top)) {
		var run struct {
			Coverage map[string]*rubyFile `json:"coverage"`
		}
		var err error
		if name == "coverage" {
			err = json.Unmarshal(top[name], &run.Coverage)
		} else if bytes.HasPrefix(bytes.TrimSpace(top[name]), []byte("{")) {
			err = json.Unmarshal(top[name], &run)
		}
		if err != nil {
			return fmt.Errorf("run %q: %w", shorten(name, longestName), err)
		}
		if run.Coverage != nil {
			runs++
		}
		for path, file := range run.Coverage {
			if file == nil {
				continue
			}
			if files[path] == nil {
				files[path] = &rubyFile{}
			}
			files[path].add(file)
		}
	}
	if runs == 0 {
		return errors.New("it has no coverage; SimpleCov writes .resultset.json and coverage.json")
	}
	into.cover(pipeline.CoveredFile{})
	for _, path := range slices.Sorted(maps.Keys(files)) {
		into.cover(files[path].covered(path))
	}
	return nil
}

// rubyFile is the coverage of a file: of each line and of each branch, unknown,
// missed or hit.
type rubyFile struct {
	lines    []hit
	branches map[string]hit
}

type hit uint8

const (
	unknown hit = iota // no code, or left out
	missed
	reached
)

var _ json.Unmarshaler = (*rubyFile)(nil)

// UnmarshalJSON reads the form of today, and the list of lines of before.
func (f *rubyFile) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		var err error
		f.lines, err = hits(text)
		return err
	}
	var form struct {
		Lines    json.RawMessage `json:"lines"`
		Branches json.RawMessage `json:"branches"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	var err error
	if f.lines, err = hits(form.Lines); err != nil {
		return err
	}
	f.branches, err = rubyBranches(form.Branches)
	return err
}

// hits reads a list of counts, without a number and a pointer for each.
func hits(list []byte) ([]hit, error) {
	list = bytes.TrimSpace(list)
	if len(list) == 0 || bytes.Equal(list, []byte("null")) {
		return nil, nil
	}
	if list[0] != '[' {
		return nil, errors.New("the lines of a file are not a list")
	}
	var lines []hit
	for value := range bytes.SplitSeq(list[1:len(list)-1], []byte(",")) {
		switch value = bytes.TrimSpace(value); {
		case len(value) == 0 || value[0] < '0' || value[0] > '9': // null, "ignored"
			lines = append(lines, unknown)
		case len(value) == 1 && value[0] == '0':
			lines = append(lines, missed)
		default:
			lines = append(lines, reached)
		}
	}
	return lines, nil
}

// rubyBranches reads {condition: {branch: count}}, or [{"coverage": count}].
func rubyBranches(text []byte) (map[string]hit, error) {
	text = bytes.TrimSpace(text)
	found := map[string]hit{}
	if bytes.HasPrefix(text, []byte("[")) {
		var list []struct {
			Type     string
			Start    int             `json:"start_line"`
			End      int             `json:"end_line"`
			Coverage json.RawMessage // a count, or "ignored"
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		for i, b := range list {
			found[fmt.Sprint(i, b.Type, b.Start, b.End)] = count(b.Coverage)
		}
		return found, nil
	}
	var conditions map[string]map[string]json.RawMessage
	if len(text) == 0 {
		return found, nil
	}
	if err := json.Unmarshal(text, &conditions); err != nil {
		return nil, err
	}
	for condition, branches := range conditions {
		for branch, n := range branches {
			found[condition+branch] = count(n)
		}
	}
	return found, nil
}

func count(n []byte) hit {
	switch {
	case len(n) == 0 || n[0] < '0' || n[0] > '9':
		return unknown
	case len(n) == 1 && n[0] == '0':
		return missed
	}
	return reached
}

// add puts another run of the same file beside this one.
func (f *rubyFile) add(other *rubyFile) {
	if len(other.lines) > len(f.lines) {
		f.lines = append(f.lines, make([]hit, len(other.lines)-len(f.lines))...)
	}
	for i, h := range other.lines {
		f.lines[i] = max(f.lines[i], h)
	}
	if f.branches == nil {
		f.branches = map[string]hit{}
	}
	for b, h := range other.branches {
		f.branches[b] = max(f.branches[b], h)
	}
}

func (f *rubyFile) covered(path string) pipeline.CoveredFile {
	file := pipeline.CoveredFile{Path: path}
	for _, h := range f.lines {
		if h != unknown {
			file.Lines++
		}
		if h == reached {
			file.LinesCovered++
		}
	}
	for _, h := range f.branches {
		if h != unknown {
			file.Branches++
		}
		if h == reached {
			file.BranchesCovered++
		}
	}
	return file
}
