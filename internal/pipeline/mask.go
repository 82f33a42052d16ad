package pipeline

import (
	"encoding/json"
	"slices"
)

// Masked stands in an action's configuration where a secret is not shown, as it
// does in AWS's answers.
const Masked = "****"

// SecretMember tells whether a member of an action's configuration is a secret.
type SecretMember func(t ActionType, member string) bool

// IsSecretMember is the SecretMember of the types that AWS has.
func IsSecretMember(t ActionType, member string) bool {
	switch t.Provider {
	case "GitHub":
		return t.Owner == "ThirdParty" && member == "OAuthToken"
	case "AlexaSkillsKit":
		return t.Owner == "ThirdParty" && (member == "ClientSecret" || member == "RefreshToken")
	}
	return false
}

// MaskConfiguration is a configuration without its secrets. It shares what it
// does not change. Nil is IsSecretMember.
func MaskConfiguration(t ActionType, configuration json.RawMessage, secret SecretMember) json.RawMessage {
	if secret == nil {
		secret = IsSecretMember
	}
	return replaceMembers(configuration, func(name string, value json.RawMessage) (json.RawMessage, bool) {
		return json.RawMessage(`"` + Masked + `"`), secret(t, name) && !isMasked(value)
	})
}

// Mask is the pipeline without the secrets in the configurations of its
// actions.
func (p Pipeline) Mask(secret SecretMember) Pipeline {
	return p.configured(func(_ string, a Action) json.RawMessage { return MaskConfiguration(a.Type, a.Configuration, secret) })
}

// Unmask puts the secrets of an older definition where the new one has the mask:
// who changes a pipeline sends back what was shown. The actions are the same by
// the names of stage and action, and their type.
func (p Pipeline) Unmask(from Pipeline, secret SecretMember) Pipeline {
	return p.configured(func(stage string, a Action) json.RawMessage {
		old := from.action(stage, a.Name)
		if old == nil || old.Type != a.Type {
			return a.Configuration
		}
		var known map[string]json.RawMessage
		if json.Unmarshal(old.Configuration, &known) != nil {
			return a.Configuration
		}
		return replaceMembers(a.Configuration, func(name string, value json.RawMessage) (json.RawMessage, bool) {
			was, ok := known[name]
			return was, ok && secret(a.Type, name) && isMasked(value)
		})
	})
}

func isMasked(value json.RawMessage) bool {
	var text string
	return json.Unmarshal(value, &text) == nil && text == Masked
}

// action is nil when there is none.
func (p Pipeline) action(stage, name string) *Action {
	for _, s := range p.Stages {
		if s.Name != stage {
			continue
		}
		if i := slices.IndexFunc(s.Actions, func(a Action) bool { return a.Name == name }); i >= 0 {
			return &s.Actions[i]
		}
	}
	return nil
}

// configured is the pipeline with other configurations of its actions. What is
// shared with p is not changed.
func (p Pipeline) configured(with func(stage string, a Action) json.RawMessage) Pipeline {
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		p.Stages[i].Actions = slices.Clone(p.Stages[i].Actions)
		for j := range p.Stages[i].Actions {
			a := &p.Stages[i].Actions[j]
			a.Configuration = with(p.Stages[i].Name, *a)
		}
	}
	return p
}

// replaceMembers is an object with other values for some members. One that
// needs none, and what is no object, stays as it is.
func replaceMembers(object json.RawMessage, with func(name string, value json.RawMessage) (json.RawMessage, bool)) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return object
	}
	changed := false
	for name, value := range members {
		if other, ok := with(name, value); ok {
			members[name], changed = other, true
		}
	}
	if !changed {
		return object
	}
	text, err := json.Marshal(members)
	if err != nil {
		return object // the values were read as JSON
	}
	return text
}
