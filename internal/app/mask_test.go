package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// withSecrets is a pipeline whose source has a token of GitHub's, and whose
// build is of a custom type.
func withSecrets(token, password string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"name": "shop", "roleArn": "arn:aws:iam::123456789012:role/web", "artifactStore": {"type": "S3", "location": "web"}, "stages": [
		{"name": "Source", "actions": [{"name": "code", "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
			"configuration": {"Owner": "acme", "Repo": "shop", "Branch": "main", "OAuthToken": %q}, "outputArtifacts": [{"name": "source"}]}]},
		{"name": "Test", "actions": [{"name": "unit", "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"},
			"configuration": {"Project": "shop", "Password": %q}, "inputArtifacts": [{"name": "source"}]}]}]}`, token, password))
}

func TestSecretsOfActionsAreShownAsStarsAndKept(t *testing.T) {
	t.Parallel()
	c, _ := clustersOf(t)
	ctx := t.Context()
	d := awsDefinitions{store: c.store, now: time.Now}
	jenkins := store.CustomActionType{
		Type:       pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "Custom", Provider: "Jenkins", Version: "1"},
		Definition: json.RawMessage(`{"actionConfigurationProperties": [{"name": "Project", "secret": false}, {"name": "Password", "secret": true}]}`), Created: time.Now(),
	}
	if err := c.store.AddActionType(ctx, jenkins); err != nil {
		t.Fatal(err)
	}
	check := func(shown json.RawMessage, err error, kept ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"gh-s3cret", "jenkins-s3cret", "new-s3cret"} {
			if strings.Contains(string(shown), secret) {
				t.Errorf("%s is shown: %s", secret, shown)
			}
		}
		if strings.Count(string(shown), `"****"`) != 2 || !strings.Contains(string(shown), `"Project":"shop"`) {
			t.Errorf("shown as %s", shown)
		}
		stored, err := c.store.Pipeline(ctx, "shop")
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(stored.Pipeline)
		for _, secret := range kept {
			if err != nil || !strings.Contains(string(text), secret) {
				t.Errorf("%s is not kept: %v %s", secret, err, text)
			}
		}
	}
	made, err := d.Create(ctx, withSecrets("gh-s3cret", "jenkins-s3cret"))
	check(made.Declaration, err, "gh-s3cret", "jenkins-s3cret")
	found, err := d.Get(ctx, "shop", 0)
	check(found.Declaration, err)
	changed, err := d.Update(ctx, withSecrets("****", "****"))
	check(changed.Declaration, err, "gh-s3cret", "jenkins-s3cret")
	changed, err = d.Update(ctx, withSecrets("new-s3cret", "****"))
	check(changed.Declaration, err, "new-s3cret", "jenkins-s3cret")
	t.Run("a type that is not known any more hides all", func(t *testing.T) {
		if err := c.store.RemoveActionType(ctx, jenkins.Type, time.Now()); err != nil {
			t.Fatal(err)
		}
		if secret := secretMembers(c.store); !secret(jenkins.Type, "Project") {
			t.Error("a member of it is shown")
		}
	})
}
