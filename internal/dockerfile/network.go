package dockerfile

import "regexp"

// network are the words in which BuildKit, buildah and Go tell that a registry
// does not answer. They come as text alone.
var network = regexp.MustCompile(`failed to do request|dial tcp|no such host|connection refused|i/o timeout|TLS handshake|network is unreachable|server misbehaving|EOF$|503 Service|502 Bad`)

// IsNetwork tells whether an error's text says that a registry does not answer,
// which is not the user's to mend.
func IsNetwork(text string) bool { return network.MatchString(text) }
