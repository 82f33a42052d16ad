package project

import "github.com/google/uuid"

// newID names something below a name, and nothing else ever: a build below its
// project.
func newID(below string) string { return below + ":" + uuid.NewString() }

// idOf names something below a name, each time the same: who comes again after a
// crash finds what it has begun.
func idOf(below, what string) string {
	return below + ":" + uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/towline/towline#"+what)).String()
}
