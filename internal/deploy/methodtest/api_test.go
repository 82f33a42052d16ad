package methodtest_test

import (
	"testing"

	"github.com/towline/towline/internal/deploy/methodtest"
	"github.com/towline/towline/internal/kube"
)

var _ methodtest.Method = (*kube.Cluster)(nil)

func TestAPI(t *testing.T) {
	methodtest.Run(t, func(c *kube.Cluster) methodtest.Method { return c })
}
