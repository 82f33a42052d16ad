// Package view is the dashboard's pages. Its noun is the page: the API's nouns
// (package client) put into parts (package look). Pages are pure: they are given
// all that they show, the time included, and ask nobody.
package view

import (
	"time"

	"github.com/towline/towline/internal/client"
)

// Page is what every page is given.
type Page struct {
	Title   string
	Path    string // of the page, as it is asked for again when something changes
	Area    Area
	Session client.Session
	Theme   string // "light" or "dark", "" is what the browser prefers
	Version string // of the server
	Assets  string // where the files are that pages need, with no slash at its end
	Now     time.Time
	// Events is where the page hears of changes, "" when it does not change by
	// itself.
	Events string
	// Problem is why what the reader asked for was not done, "" when it was.
	Problem string
}

// Area is one of the parts of the dashboard that the top of each page leads to.
type Area string

// The areas, in their order.
const (
	Pipelines Area = "Pipelines"
)

// Areas are all areas, each with where it is and the key that leads there after
// a g.
func Areas() []struct {
	Area      Area
	Path, Key string
} {
	return []struct {
		Area      Area
		Path, Key string
	}{
		{Pipelines, "/", "p"},
	}
}

// Denied is why the reader may not do what needs the role, "" when they may.
func (p Page) Denied(needed client.Role) string {
	if p.Session.Role.Allows(needed) {
		return ""
	}
	return "this needs the role " + string(needed) + ", and you have " + string(p.Session.Role)
}
