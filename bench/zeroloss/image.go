package main

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/deploy/imagetest"
)

// application is the source of the test application.
const application = "internal/deploy/testdata/web"

// pushVersions pushes one image of the test application for each version, and
// returns their references by digest.
func pushVersions(ctx context.Context, images *imagetest.Registry, versions []string) ([]string, error) {
	var refs []string
	for _, version := range versions {
		image, err := imagetest.Build(ctx, application, "VERSION="+version)
		if err != nil {
			return nil, fmt.Errorf("make the image of version %s: %w", version, err)
		}
		ref, err := images.Push(ctx, "web", version, image)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}
