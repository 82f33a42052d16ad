package build_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// TestReportsDoNotShowSecrets has a failed test whose message holds a secret,
// escaped as XML and in base64.
func TestReportsDoNotShowSecrets(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": `version: 0.2
env:
  parameter-store: {TOKEN: /web/token}
phases:
  build:
    commands:
      - |
        b=$(printf %s "$TOKEN" | base64)
        x=$(printf %s "$TOKEN" | sed 's/&/\&amp;/')
        echo "<testsuite><testcase classname=\"web\" name=\"with $x\"><failure message=\"got $x, $b\"/></testcase></testsuite>" > t.xml
reports:
  unit: {files: [t.xml]}
`}, pipeline.Build{})
	o.Vault = vault{build.ParameterSecret: {"/web/token": "token&of-the-store"}}
	got := run(t, o)
	text, err := json.Marshal(got)
	if err != nil || got.Tests == nil || len(got.Tests.Failures) != 1 || got.Tests.Failures[0].Name != "with ***" {
		t.Fatalf("%v, got %s\n%s", err, text, logOf(t, o))
	}
	for _, secret := range []string{"of-the-store", "dG9rZW4m"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the result holds %q: %s", secret, text)
		}
	}
	if message := got.Tests.Failures[0].Message; !strings.HasPrefix(message, "got ***, ***") {
		t.Errorf("message %q", message)
	}
}
