package project

import "github.com/google/uuid"

// NewID names something below a name, and nothing else ever: a build below its
// project.
func NewID(below string) string { return below + ":" + uuid.NewString() }

// IDOf names something below a name, each time the same: who comes again after a
// crash finds what it has begun.
func IDOf(below, what string) string {
	return below + ":" + uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/towline/towline#"+what)).String()
}
