package build

import (
	"strings"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// inlineName stands for the file where a buildspec has none.
const inlineName = "buildspec"

// inline tells whether a configuration's buildspec is the text itself, and not
// a path. Projects may have it so.
func inline(text string) bool {
	text = strings.TrimSpace(text)
	return strings.Contains(text, "\n") || strings.HasPrefix(text, "{")
}

// inlineSpec reads a buildspec that is in the configuration.
func inlineSpec(text string) (buildspec.Spec, error) {
	spec, err := buildspec.Parse(inlineName, []byte(text))
	if err != nil {
		return buildspec.Spec{}, refusal(err.Error())
	}
	return spec, nil
}

// told are the phases of a build for its record.
func told(ended Ended) []pipeline.Phase {
	var all []pipeline.Phase
	for _, p := range ended.Phases {
		phase := pipeline.Phase{Name: p.Name, Seconds: p.Seconds}
		if p.Failure != nil {
			phase.Failure = p.Failure.Message()
		}
		all = append(all, phase)
	}
	if ended.TimedOut != "" {
		all = append(all, pipeline.Phase{Name: ended.TimedOut, TimedOut: true, Failure: "the time was up while this phase ran"})
	}
	if ended.Exceeded != nil {
		all = append(all, pipeline.Phase{Name: ended.Exceeded.Phase, Failure: ended.Exceeded.Text})
	}
	return all
}
