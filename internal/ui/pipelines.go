package ui

import (
	"github.com/a-h/templ"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/ui/view"
)

// pipelines is the first page: how all pipelines stand, those first that somebody
// should look at.
func pipelines(v *visit) (templ.Component, error) {
	query := v.URL.Query()
	found, err := v.api.Overview(v.Context(), client.OverviewRequest{Query: query.Get("query"), After: query.Get("after")})
	if err != nil {
		return nil, err
	}
	v.page.Title, v.page.Area, v.page.Events = "Pipelines", view.Pipelines, "/api/v1/overview/watch"
	return view.PipelineList(v.page, found, query.Get("query")), nil
}
