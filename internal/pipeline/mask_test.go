package pipeline_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestSecretsInConfigurationsAreMaskedAndKept(t *testing.T) {
	t.Parallel()
	github := pipeline.ActionType{Category: pipeline.CategorySource, Owner: "ThirdParty", Provider: "GitHub", Version: "1"}
	with := func(configuration string, kind pipeline.ActionType) pipeline.Pipeline {
		return pipeline.Pipeline{Name: "web", Stages: []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{{Name: "code", Type: kind, Configuration: json.RawMessage(configuration)}}}}}
	}
	configuration := func(p pipeline.Pipeline) string { return string(p.Stages[0].Actions[0].Configuration) }
	const whole, masked = `{"OAuthToken":"gh-s3cret","Owner":"acme"}`, `{"OAuthToken":"****","Owner":"acme"}`
	old := with(whole, github)
	if diff := cmp.Diff(masked, configuration(old.Mask(pipeline.IsSecretMember))); diff != "" {
		t.Error("masked (-want +got)\n", diff)
	}
	if configuration(old) != whole {
		t.Error("masking changes what it is given")
	}
	elsewhere := github
	elsewhere.Provider = "GitLab"
	for name, c := range map[string]struct {
		sent, want string
		kind       pipeline.ActionType
	}{
		"the mask is the secret that was there":   {`{"OAuthToken":"****","Owner":"new"}`, `{"OAuthToken":"gh-s3cret","Owner":"new"}`, github},
		"another secret replaces it":              {`{"OAuthToken":"other"}`, `{"OAuthToken":"other"}`, github},
		"the mask of what is no secret stays":     {`{"Owner":"****"}`, `{"Owner":"****"}`, github},
		"another type does not get the secret":    {masked, masked, elsewhere},
		"what is no object is left as it is":      {`[]`, `[]`, github},
		"no configuration is left as it is":       {``, ``, github},
		"a value that is not text is left alone":  {`{"OAuthToken":1}`, `{"OAuthToken":1}`, github},
		"one that is not there any more is gone":  {`{"Owner":"acme"}`, `{"Owner":"acme"}`, github},
		"other members keep their place in order": {`{"Zone":"a","OAuthToken":"x"}`, `{"Zone":"a","OAuthToken":"x"}`, github},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, configuration(with(c.sent, c.kind).Unmask(old, pipeline.IsSecretMember))); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}
