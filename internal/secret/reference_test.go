package secret_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/secret"
)

func TestParseReferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parameter bool
		text      string
		want      secret.Reference
	}{
		{true, "/web/db-password", secret.Reference{Names: []string{"/web/db-password"}, ID: "/web/db-password"}},
		{true, "plain", secret.Reference{Names: []string{"plain"}, ID: "plain"}},
		{true, "/web/db:3", secret.Reference{Names: []string{"/web/db"}, ID: "/web/db:3", Version: "3"}},
		{true, "arn:aws:ssm:eu-west-1:1234:parameter/web/db", secret.Reference{Names: []string{"/web/db", "web/db"}, ID: "arn:aws:ssm:eu-west-1:1234:parameter/web/db"}},
		{false, "web/db", secret.Reference{Names: []string{"web/db"}, ID: "web/db"}},
		{false, "web/db:password", secret.Reference{Names: []string{"web/db"}, ID: "web/db", Key: "password"}},
		{false, "web/db::AWSPREVIOUS", secret.Reference{Names: []string{"web/db"}, ID: "web/db", Stage: "AWSPREVIOUS"}},
		{false, "web/db:password::7", secret.Reference{Names: []string{"web/db"}, ID: "web/db", Key: "password", Version: "7"}},
		{
			false, "arn:aws:secretsmanager:eu-west-1:1234:secret:web/db-AbCdEf:password",
			secret.Reference{Names: []string{"web/db-AbCdEf", "web/db"}, ID: "arn:aws:secretsmanager:eu-west-1:1234:secret:web/db-AbCdEf", Key: "password"},
		},
	} {
		parse := secret.ParseSecret
		if c.parameter {
			parse = secret.ParseParameter
		}
		got, err := parse(c.text)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", c.text, err, diff)
		}
	}
}

func TestParseReferencesRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ":", "a b", "/", "a//b", "a/", "$HOME", "a\nb", strings.Repeat("a", 513), "arn:aws:s3:::bucket"} {
		if r, err := secret.ParseParameter(text); err == nil {
			t.Errorf("parameter %q became %+v", text, r)
		}
		if r, err := secret.ParseSecret(text); err == nil {
			t.Errorf("secret %q became %+v", text, r)
		}
	}
	if _, err := secret.ParseSecret("a:b:c:d:e"); err == nil || !strings.Contains(err.Error(), "write web/db, web/db:password") {
		t.Errorf("five parts: %v", err)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	const value = `{"password": "s3cret \"quoted\"", "port": 5432, "on": true}`
	for key, want := range map[string]string{"": value, "password": `s3cret "quoted"`, "port": "5432", "on": "true"} {
		got, err := secret.Reference{Names: []string{"web/db"}, Key: key}.Pick(value)
		if err != nil || got != want {
			t.Errorf("key %q: %q, %v", key, got, err)
		}
	}
	for value, want := range map[string]string{
		value:                 `secret web/db has no key "other": add it`,
		"not JSON but s3cret": `secret web/db is no JSON object, so it has no key "other"`,
	} {
		_, err := secret.Reference{Names: []string{"web/db"}, Key: "other"}.Pick(value)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, text := range []string{"/web/db:3", "web/db:password:AWSCURRENT:x", "arn:aws:ssm:eu-west-1:1:parameter/a", "arn:aws:secretsmanager:e:1:secret:a-AbCdEf:k::"} {
		f.Add(text, `{"k": "v"}`)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, parse := range []func(string) (secret.Reference, error){secret.ParseParameter, secret.ParseSecret} {
			r, err := parse(text)
			if err != nil {
				continue
			}
			for _, name := range r.Names {
				if err := secret.CheckName(name); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
			_, _ = r.Pick(value)
		}
	})
}
