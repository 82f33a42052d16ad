package attest_test

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkAttest attests an image with a jar of 12 MB on a base that is known
// already, in a registry on this machine.
func BenchmarkAttest(b *testing.B) {
	s := setup(b)
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < 12<<20 {
		text.WriteByte(byte(random.IntN(256)))
	}
	app := files{"web.jar": files{"META-INF/maven/a/b/pom.properties": "groupId=a\nartifactId=b\nversion=1\n", "data": text.String()}.archive(b)}
	image := s.attest(s.push(app, files{"var/lib/dpkg/status": strings.Repeat("Package: p\nStatus: install ok installed\nVersion: 1\n\n", 200)}))
	for b.Loop() {
		s.attest(image)
	}
}
