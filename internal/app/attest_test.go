package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towline/towline/internal/attest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
)

func attestKeysOf(t *testing.T) (*attestKeys, string) {
	t.Helper()
	c, dir := clustersOf(t)
	return &attestKeys{store: c.store, keys: c.keys, now: time.Now}, dir
}

func TestAttestKeys(t *testing.T) {
	t.Parallel()
	k, dir := attestKeysOf(t)
	ctx := t.Context()
	var first string
	t.Run("the first is made once", func(t *testing.T) {
		ids := make([]string, 8)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				signer, err := k.signer(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = signer.Public.ID()
			})
		}
		all.Wait()
		first = ids[0]
		for _, id := range ids {
			if id != first {
				t.Errorf("keys %s and %s", first, id)
			}
		}
	})
	t.Run("a new one signs, and the old one stays", func(t *testing.T) {
		made, err := k.Rotate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := k.signer(ctx)
		if err != nil || signer.Public.ID() != made.ID {
			t.Errorf("%s signs, %v", signer.Public.ID(), err)
		}
		found, err := k.List(ctx)
		if err != nil || len(found) != 2 || found[0].ID != made.ID || found[1].ID != first {
			t.Fatalf("listed %+v, %v", found, err)
		}
		keys, err := attest.ParsePublicKeys([]byte(found[0].PEM + found[1].PEM))
		if err != nil || keys[1].ID() != first {
			t.Errorf("the PEM has %v, %v", keys, err)
		}
	})
	t.Run("they open after the keyring has a new key and has lost the old one", func(t *testing.T) {
		if err := k.keys.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := k.reseal(ctx); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "keys")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		last := strings.LastIndex(string(text), "AGE-SECRET-KEY-1")
		if err := os.WriteFile(path, text[last:], 0o600); err != nil {
			t.Fatal(err)
		}
		if k.keys, err = secret.Open(path); err != nil {
			t.Fatal(err)
		}
		if _, err := k.signer(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestTheBuildspecOfAnArtifactIsFound(t *testing.T) {
	t.Parallel()
	action := func(name, configuration string, outputs ...string) pipeline.Action {
		return pipeline.Action{Name: name, Type: pipeline.ActionType{Category: pipeline.CategoryBuild, Provider: "Buildspec"}, Configuration: json.RawMessage(configuration), Outputs: outputs}
	}
	p := pipeline.Pipeline{Stages: []pipeline.Stage{
		{Name: "Test", Actions: []pipeline.Action{action("unit", `{"commands":["make"]}`, "tested")}},
		{Name: "Package", Actions: []pipeline.Action{action("app", `{}`, "app"), action("lib", `{"buildspec":"lib/b.yml"}`, "other", "lib")}},
	}}
	for artifact, want := range map[string]string{"app": "buildspec.yml", "lib": "lib/b.yml", "tested": "", "none": ""} {
		if got := buildspecOf(p, artifact); got != want {
			t.Errorf("of %s it is %q, want %q", artifact, got, want)
		}
	}
}
