package dockerfile

import (
	"regexp"
	"strings"
)

// network are the words in which BuildKit, buildah and Go tell that a registry
// does not answer. They come as text alone.
var network = regexp.MustCompile(`failed to do request|dial tcp|no such host|connection refused|i/o timeout|TLS handshake|network is unreachable|server misbehaving|EOF$|50[234] \(?(Bad|Service|Gateway)`)

// cause is what an error's text says behind all that it quotes. In quotes are the
// commands, paths and addresses of the Dockerfile, which may say anything.
func cause(text string) string { return text[strings.LastIndexByte(text, '"')+1:] }

// IsNetwork tells whether an error's text says that a registry does not answer,
// which is not the user's to mend.
func IsNetwork(text string) bool { return network.MatchString(cause(text)) }

// IsFull tells whether an error's text says that a disk of who builds is full.
func IsFull(text string) bool { return strings.Contains(cause(text), "no space left on device") }
