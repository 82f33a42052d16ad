package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheDrainingProxySaysWhichPortsItWants(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"agent drain 8080", exitUsage, `port pair "8080": want LISTEN=TARGET`},
		{"agent drain", exitError, "name at least one pair LISTEN=TARGET"},
		{"agent drain begin --admin 1", exitError, "begin the drain"},
	} {
		var out, errs bytes.Buffer
		code := Main(t.Context(), Invocation{Args: strings.Fields(tt.args), In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit code %d, %s", tt.args, code, &errs)
		}
	}
}
