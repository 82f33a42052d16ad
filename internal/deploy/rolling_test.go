package deploy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestRollingUpdateWithTheRecipeLosesNoRequest(t *testing.T) {
	b := setupAlone(t)
	b.config.Recipe = safeRecipe
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

// A prober that cannot fail shows nothing: the same load as above, on the same
// application as naive people write it.
func TestRollingUpdateAsWrittenLosesRequests(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.request()
	request.AsWritten, request.Verify = true, pipeline.Verify{Rate: 100, Budget: 1 << 20}
	b.write(t, web(image, 3, "VERSION=1", "MODE=naive", "WORK=10ms", "STARTUP=500ms"), webService)
	b.deployFirst(t, request)
	b.write(t, web(image, 3, "VERSION=2", "MODE=naive", "WORK=10ms", "STARTUP=500ms"), webService)
	naive := b.deployWell(t, request)
	if naive.Verdict == nil || naive.Verdict.Lost == 0 {
		t.Errorf("verdict %+v, want losses", naive.Verdict)
	}
	t.Logf("verdict of the naive update: %s", naive.Verdict)
}

// Most Services have no address outside the cluster.
func TestAServiceInsideTheClusterIsProbedThroughTheAPIServer(t *testing.T) {
	b := setupMeasured(t)
	image := webImage(t)
	inside := strings.Replace(webService, "  type: NodePort\n", "", 1)
	b.write(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready, inside)
	b.deployFirst(t)
	b.write(t, web(image, 2, "VERSION=2", "MODE=graceful")+ready, inside)
	d := b.deployWell(t, b.request())
	if d.Verdict == nil || d.Verdict.Requests < 200 || !strings.Contains(d.Verdict.Target, "/services/web:80/proxy/") {
		t.Errorf("verdict %+v, want it through the service proxy", d.Verdict)
	}
	if d.URL != "" {
		t.Errorf("URL %q, want none that a person could not use", d.URL)
	}
	t.Logf("verdict through the API server: %s", d.Verdict)
}

func TestASecretIsNeitherInTheLogNorInTheRecord(t *testing.T) {
	b := setup(t)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: %s}\n"
	for _, value := range []string{"hunter2-first", "hunter2-second"} {
		b.write(t, fmt.Sprintf(secret, value), fmt.Sprintf(noPods, 1))
		d := b.deployWell(t, b.request())
		if strings.Contains(b.log.String(), "hunter2") || strings.Contains(fmt.Sprintf("%+v", d), "hunter2") {
			t.Error("the secret is in the log or the record")
		}
	}
	b.applyAs(t, "anna", fmt.Sprintf(secret, "hunter2-anna"))
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || strings.Contains(d.Message, "hunter2") {
		t.Errorf("conflict: %s: %s", d.Outcome, d.Message)
	}
}
