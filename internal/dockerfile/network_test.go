package dockerfile_test

import (
	"testing"

	"github.com/towline/towline/internal/dockerfile"
)

func TestWhatIsQuotedIsNoCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text          string
		network, full bool
	}{
		{`failed to do request: Head "https://a.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused`, true, false},
		{`creating build container: pinging container registry a: Get "https://a/v2/": dial tcp: lookup a: no such host`, true, false},
		{`reading manifest 1 in a/b: received unexpected HTTP status: 503 Service Unavailable`, true, false},
		{`invalid status code from registry 502 (Bad Gateway)`, true, false},
		{`Head "https://a.example/v2/": EOF`, true, false},
		{`building at STEP "COPY a /b": storing "a": write /b: no space left on device`, false, true},
		{`process "/bin/sh -c echo \"connection refused\"; exit 255" did not complete successfully: exit code: 255`, false, false},
		{`building at STEP "COPY dial tcp /a": copier: stat: "/dial": no such file or directory`, false, false},
		{`failed to calculate checksum of ref x: "/no space left on device": not found`, false, false},
		{``, false, false},
	} {
		if network, full := dockerfile.IsNetwork(c.text), dockerfile.IsFull(c.text); network != c.network || full != c.full {
			t.Errorf("%s: of the network %v, want %v; of a full disk %v, want %v", c.text, network, c.network, full, c.full)
		}
	}
}
