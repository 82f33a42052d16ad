package report

import (
	"cmp"
	"encoding/xml"

	"github.com/towline/towline/internal/pipeline"
)

// readClover reads the coverage of Clover, OpenClover, Istanbul and PHPUnit. A
// file's lines are those listed; where there are none its metrics speak.
// Writers count the branches of a line in different ways, so those are taken
// from the metrics alone.
func readClover(d *document, into *found) error {
	var within func(xml.StartElement) error
	within = func(xml.StartElement) error {
		return d.children(func(child xml.StartElement) error {
			switch child.Name.Local {
			case "project", "package":
				return within(child)
			case "file":
				return cloverFile(d, child, into)
			}
			return d.skip() // also testproject: the tests' own code
		})
	}
	return d.outermost(func(start xml.StartElement) error {
		into.cover(pipeline.CoveredFile{})
		return within(start)
	}, "coverage")
}

func cloverFile(d *document, start xml.StartElement, into *found) error {
	file := pipeline.CoveredFile{Path: cmp.Or(attribute(start, "path"), attribute(start, "name"))}
	var lines pipeline.Coverage
	err := d.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "metrics":
			file.Lines, file.LinesCovered = number(child, "statements"), number(child, "coveredstatements")
			file.Branches, file.BranchesCovered = number(child, "conditionals"), number(child, "coveredconditionals")
		case "line":
			if attribute(child, "type") == "method" {
				break // its statements are lines of their own
			}
			lines.Lines++
			if number(child, "count")+number(child, "truecount") > 0 {
				lines.LinesCovered++
			}
		}
		return d.skip()
	})
	if lines.Lines > 0 {
		file.Lines, file.LinesCovered = lines.Lines, lines.LinesCovered
	}
	if err == nil {
		into.cover(file)
	}
	return err
}
