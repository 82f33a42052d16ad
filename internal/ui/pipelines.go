package ui

import (
	"github.com/a-h/templ"

	"github.com/towline/towline/internal/ui/view"
)

func pipelines(v *visit) (templ.Component, error) {
	found, err := v.api.Pipelines(v.Context())
	if err != nil {
		return nil, err
	}
	v.page.Title, v.page.Area = "Pipelines", view.Pipelines
	return view.PipelineList(v.page, found), nil
}
