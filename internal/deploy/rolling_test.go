package deploy

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestRollingUpdateWithTheRecipeLosesNoRequest(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 3, "VERSION=1", "MODE=graceful", "WORK=10ms")+ready, webService)
	first := b.deployWell(t, b.request())
	if first.Revision != 1 || first.Verdict == nil || first.Verdict.Requests == 0 {
		t.Errorf("first deployment: %+v, want revision 1 with a verdict", first)
	}
	b.write(t, web(image, 3, "VERSION=2", "MODE=graceful", "WORK=10ms")+ready, webService)
	second := b.deployWell(t, b.request())
	if second.Revision != 2 || second.Previous != 1 {
		t.Errorf("revision %d after %d, want 2 after 1", second.Revision, second.Previous)
	}
	v := second.Verdict
	if v == nil || v.Lost != 0 || v.Rate < 95 {
		t.Errorf("verdict %+v, want 0 lost at 100 requests/s", v)
	}
	t.Logf("verdict of the rolling update: %s in %.1f s", v, second.Seconds)
	if !strings.HasPrefix(second.URL, "http://") {
		t.Errorf("URL %q", second.URL)
	}
	if len(second.Images) != 1 || second.Images[0] != image {
		t.Errorf("images %v, want %s", second.Images, image)
	}
}

// A prober that cannot fail shows nothing.
func TestRollingUpdateAsWrittenLosesRequests(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.request()
	request.AsWritten, request.Verify = true, pipeline.Verify{Rate: 200, Budget: 1 << 20}
	b.write(t, web(image, 3, "VERSION=1", "MODE=naive", "WORK=20ms", "STARTUP=500ms"), webService)
	b.deployWell(t, request)
	b.write(t, web(image, 3, "VERSION=2", "MODE=naive", "WORK=20ms", "STARTUP=500ms"), webService)
	naive := b.deployWell(t, request)
	if naive.Verdict == nil || naive.Verdict.Lost == 0 {
		t.Errorf("verdict %+v, want losses", naive.Verdict)
	}
	t.Logf("verdict of the naive update: %s", naive.Verdict)
}
