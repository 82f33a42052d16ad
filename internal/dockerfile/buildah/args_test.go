package buildah

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	text := `ARG HOST=registry.example.com:5000
ARG TAG="1"
FROM --platform=$BUILDPLATFORM debian:12 AS build
from ${HOST}/base:${TAG}
COPY --from=ghcr.io/acme/tools:1 /a /a
FROM localhost/x
FROM ${OTHER:-quay.io}/y
`
	want := []string{"docker.io", "ghcr.io", "localhost", "mirror.example.com", "quay.io"}
	if d := cmp.Diff(want, hosts(text, map[string]string{"HOST": "mirror.example.com"})); d != "" {
		t.Errorf("hosts (-want +got):\n%s", d)
	}
}

func FuzzHosts(f *testing.F) {
	f.Add("FROM ${A}/b\nARG A=c.d", "A", "x.y")
	f.Add("FROM --platform=x ${A:-${B}}", "", "")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		for _, host := range hosts(text, map[string]string{name: value}) {
			if strings.Contains(host, "/") {
				t.Errorf("%q is no host", host)
			}
		}
	})
}
