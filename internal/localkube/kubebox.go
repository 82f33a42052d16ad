package localkube

import (
	"context"
	"path/filepath"
)

// Kubebox returns the path of the program that is etcd, the API server and the
// rest of Kubernetes in one, by its first argument. It is compiled unless it is
// in the cache. No cluster needs to be up: tests run single components of it.
func (c *Cluster) Kubebox(ctx context.Context) (string, error) {
	dir, err := c.ensureBinaries(ctx)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "kubebox"), nil
}
