package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"time"
)

// files are those that pages need: the design, the scripts, and htmx 4.0.1 with
// its extension for server-sent events, as their makers publish them (0BSD).
//
//go:embed assets
var files embed.FS

// assets are the files by their names. They are found under a path that changes
// with any of them, so that browsers may keep them for ever.
type assets struct {
	version string
	content map[string][]byte
}

func readAssets() assets {
	a := assets{content: map[string][]byte{}}
	sum := sha256.New()
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err) // the program was built without them
	}
	for _, e := range entries {
		text, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		a.content[e.Name()] = text
		_, _ = sum.Write([]byte(e.Name()))
		_, _ = sum.Write(text)
	}
	a.version = hex.EncodeToString(sum.Sum(nil))[:12]
	return a
}

func (a assets) path() string { return "/assets/" + a.version }

// ServeHTTP answers for the present version alone. A page of an older server
// that asks for its own gets nothing, not something else under its name.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := a.content[r.PathValue("file")]
	if !ok || r.PathValue("version") != a.version {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(text))
}
