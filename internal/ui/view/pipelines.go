package view

import (
	"net/url"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/ui/look"
)

// spans are the stages of a pipeline's last execution.
func spans(r client.Standing) (stages []look.Stage) {
	for _, s := range r.Last.Stages {
		stage := look.Stage{Name: s.Name, Status: string(s.Status), Href: ExecutionPath(r.Last.ID) + "#stage-" + s.Name}
		for _, h := range r.Holds {
			if h.Execution == r.Last.ID && h.Hold.Stage == s.Name {
				stage.Status, stage.Note = "Waiting", h.Hold.Sentence
			}
		}
		if stage.Note == "" && !s.Ended.IsZero() {
			stage.Note = look.Duration(s.Ended.Sub(s.Started))
		}
		stages = append(stages, stage)
	}
	return stages
}

func morePath(o client.Overview, query string) string {
	return "/?" + url.Values{"query": {query}, "after": {o.Next}}.Encode()
}
