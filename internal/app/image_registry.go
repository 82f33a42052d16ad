package app

import (
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/towline/towline/internal/image"
)

// imageRegistry is where an image with a bare repository name goes: to the
// registry that the settings name, with the credentials of docker login, else
// to the embedded one.
func (a *App) imageRegistry() image.Registry {
	if name := a.options.Server.Registry; name != "" {
		return image.Registry{Host: name}
	}
	return image.Registry{
		Host: a.registryHost(), Insecure: true,
		Auth: &authn.Basic{Username: "towline", Password: a.tokens.Admin},
		Pull: &authn.Basic{Username: "towline", Password: a.tokens.Pull},
	}
}
