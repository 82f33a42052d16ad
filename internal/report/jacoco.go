package report

import (
	"encoding/xml"
	"path"

	"github.com/towline/towline/internal/pipeline"
)

// readJaCoCo reads the XML report of JaCoCo: groups of packages of source files,
// each with its counters.
func readJaCoCo(d *document, into *found) error {
	var within func(start xml.StartElement) error
	within = func(start xml.StartElement) error {
		return d.children(func(child xml.StartElement) error {
			switch child.Name.Local {
			case "group", "package":
				return within(child)
			case "sourcefile":
				return jacocoFile(d, child, attribute(start, "name"), into)
			}
			return d.skip()
		})
	}
	return d.outermost(func(start xml.StartElement) error {
		into.cover(pipeline.CoveredFile{})
		return within(start)
	}, "report")
}

func jacocoFile(d *document, start xml.StartElement, dir string, into *found) error {
	file := pipeline.CoveredFile{Path: path.Join(dir, attribute(start, "name"))}
	err := d.children(func(child xml.StartElement) error {
		if child.Name.Local == "counter" {
			missed, covered := number(child, "missed"), number(child, "covered")
			switch attribute(child, "type") {
			case "LINE":
				file.Lines, file.LinesCovered = missed+covered, covered
			case "BRANCH":
				file.Branches, file.BranchesCovered = missed+covered, covered
			}
		}
		return d.skip()
	})
	if err == nil {
		into.cover(file)
	}
	return err
}
