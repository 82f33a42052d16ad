package report

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"

	"github.com/towline/towline/internal/pipeline"
)

// mostLines bounds the lines that are remembered while one file is read.
const mostLines = 1_000_000

// readCobertura reads the coverage of Cobertura, coverage.py, gocover-cobertura,
// Coverlet and others. A source file may have several classes, which share
// lines, and a line may stand with its method and with its class.
func readCobertura(d *document, into *found) error {
	c := cobertura{document: d, lines: map[string]map[int32]coberturaLine{}}
	err := d.outermost(func(xml.StartElement) error { return c.within("") }, "coverage")
	if err != nil {
		return err
	}
	into.cover(pipeline.CoveredFile{})
	for _, name := range c.names {
		file := pipeline.CoveredFile{Path: name}
		for _, line := range c.lines[name] {
			file.Lines++
			if line.hit {
				file.LinesCovered++
			}
			file.Branches += int(line.branches)
			file.BranchesCovered += int(line.covered)
		}
		into.cover(file)
	}
	return nil
}

type cobertura struct {
	*document
	names []string // in the order of the file
	lines map[string]map[int32]coberturaLine
	count int
}

type coberturaLine struct {
	branches, covered uint16
	hit               bool
}

// within reads what lies between the file's beginning and the lines.
func (c *cobertura) within(file string) error {
	return c.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "packages", "package", "classes", "methods", "method", "lines":
			return c.within(file)
		case "class":
			return c.within(attribute(child, "filename"))
		case "line":
			if err := c.line(child, file); err != nil {
				return err
			}
		}
		return c.skip()
	})
}

// condition is the branches of a line: 50% (1/2).
var condition = regexp.MustCompile(`\((\d{1,4})/(\d{1,4})\)`)

func (c *cobertura) line(start xml.StartElement, file string) error {
	n := number(start, "number")
	if file == "" || n == 0 {
		return nil
	}
	lines := c.lines[file]
	if lines == nil {
		lines = map[int32]coberturaLine{}
		c.lines[file] = lines
		c.names = append(c.names, file)
	}
	line, known := lines[int32(n)]
	if !known {
		if c.count++; c.count > mostLines {
			return fmt.Errorf("it has more than %d lines", mostLines)
		}
	}
	// Hits may be more than an int holds.
	hits, err := strconv.ParseFloat(attribute(start, "hits"), 64)
	line.hit = line.hit || err == nil && hits > 0
	if m := condition.FindStringSubmatch(attribute(start, "condition-coverage")); m != nil {
		covered, _ := strconv.ParseUint(m[1], 10, 16)
		all, _ := strconv.ParseUint(m[2], 10, 16)
		line.branches = max(line.branches, uint16(all))
		line.covered = min(max(line.covered, uint16(covered)), line.branches)
	}
	lines[int32(n)] = line
	return nil
}
