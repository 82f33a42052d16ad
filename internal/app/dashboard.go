package app

import (
	"net/http"
	"time"

	"github.com/towline/towline/internal/ui"
)

// dashboard is the pages for browsers, over the API as it is served.
func (a *App) dashboard(api http.Handler) (http.Handler, error) {
	return ui.New(ui.Config{API: api, Version: a.options.Version, Components: a.options.Server.Components, Now: time.Now, Logger: a.options.Logger})
}
