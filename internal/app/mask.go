package app

import (
	"context"
	"encoding/json"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// secretMembers tells which members of configurations are secrets: those that
// AWS's types have, and those that custom types declare. Of a custom type that
// is not known any more, all.
func secretMembers(db *store.DB) pipeline.SecretMember {
	return func(t pipeline.ActionType, member string) bool {
		if t.Owner != "Custom" {
			return pipeline.IsSecretMember(t, member)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		known, err := db.ActionTypes(ctx)
		if err != nil {
			return true
		}
		for _, custom := range known {
			if custom.Type == t {
				return declaresSecret(custom.Definition, member)
			}
		}
		return true
	}
}

// declaresSecret reads the definition of a custom type.
func declaresSecret(definition json.RawMessage, member string) bool {
	var said struct {
		Properties []struct {
			Name   string `json:"name"`
			Secret bool   `json:"secret"`
		} `json:"actionConfigurationProperties"`
	}
	if json.Unmarshal(definition, &said) != nil {
		return true
	}
	for _, p := range said.Properties {
		if p.Name == member {
			return p.Secret
		}
	}
	return false
}
