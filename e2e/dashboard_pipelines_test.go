package e2e_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// many fills the database of a server with pipelines that have run once each.
// The last one has failed.
func many(t *testing.T, s *towline, pipelines int) {
	t.Helper()
	if err := os.MkdirAll(s.data, 0o711); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), s.data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = db.Update(t.Context(), func(q store.Querier) error {
		for i := range pipelines {
			p := pipeline.Pipeline{Name: fmt.Sprintf("service-%04d", i), Stages: []pipeline.Stage{{Name: "Source"}, {Name: "Test"}, {Name: "Production"}}}
			if err := store.PutPipeline(t.Context(), q, p, p.Name, time.Now()); err != nil {
				return err
			}
			number, err := store.NextNumber(t.Context(), q, p.Name)
			if err != nil {
				return err
			}
			at := time.Now().Add(-time.Duration(i) * time.Minute)
			e := pipeline.Execution{
				ID: p.Name + "-1", Pipeline: p.Name, Number: number, Status: pipeline.ExecutionSucceeded, Definition: p, Started: at, Ended: at.Add(2 * time.Minute),
				Revision: pipeline.Revision{Commit: fmt.Sprintf("%040x", i), Message: "Answer twice as fast", Author: "Ada Lovelace"},
			}
			for n, stage := range p.Stages {
				status := pipeline.StatusSucceeded
				if i == pipelines-1 && n > 0 {
					status, e.Status = pipeline.StatusPending, pipeline.ExecutionFailed
				}
				if i == pipelines-1 && n == 1 {
					status = pipeline.StatusFailed
				}
				e.Stages = append(e.Stages, pipeline.StageState{Name: stage.Name, Status: status, Attempt: 1})
			}
			if err := store.SaveExecution(t.Context(), q, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDashboardShowsAThousandPipelines(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	many(t, s, 1000)
	s.up()
	b := s.open(t)
	b.visit("/")
	b.sees("1\u202f000 in all")
	b.sees("1 failed")
	b.until("what has failed comes first", `document.querySelector("[data-row] .name").innerText === "service-0999"`)
	b.shown("pipelines")
	if rows := evaluate[int](b, `document.querySelectorAll("[data-row]").length`); rows != 100 {
		t.Errorf("%d lines at once, want 100", rows)
	}
	b.until("the others come as one reads on", `(scrollTo(0, document.body.scrollHeight), document.querySelectorAll("[data-row]").length === 1000)`)
	b.press("/")
	b.until("the search has the focus", `document.activeElement.name === "query" && (document.activeElement.value = "", true)`)
	b.press("service-04")
	b.until("only those are left that have it in their name", `document.querySelectorAll("[data-row]").length === 100 && document.querySelector("[data-row] .name").innerText === "service-0400"`)
	b.do("leave the search", pressEscape)
	b.press("jj")
	b.until("the second line has the focus", `document.activeElement.innerText === "service-0401"`)
}

func TestDashboardShowsWhatHappens(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.open(t)
	b.visit("/")
	b.sees("No pipelines yet")
	c := s.repository("shop", map[string]string{"towline.yaml": `pipeline: shop
variables: {target: staging}
stages:
  - name: Gate
    actions: [{name: go-ahead, approve: {message: "Release?"}}]
  - name: Release
    actions: [{name: release, build: {commands: ["echo to #{variables.target}"]}}]
`})
	c.push("Sell tea")
	b.sees("Sell tea") // by itself
	b.sees("Somebody has to approve or reject go-ahead of stage Gate.")
	c.push("Sell coffee")
	b.sees("Sell coffee")
	b.click(`[data-row] .name`)
	b.sees("Defined by towline.yaml of shop")
	b.sees("shop-2 waits.")
	b.shown("pipeline")
	b.click(`[commandfor="close-Release"]`)
	b.do("say why", typeInto(`dialog[open] [name="reason"]`, "Stocktaking"))
	b.click(`dialog[open] [type="submit"]`)
	b.sees("Inbound closed by Grace Hopper: Stocktaking")
	b.click(`[commandfor="run"]`)
	b.sees("takes the newest commit of the branch")
	b.do("set a variable", typeInto(`dialog[open] [name="variable-target"]`, "production"))
	b.click(`dialog[open] [type="submit"]`)
	b.sees("shop #3")
	e, err := s.api().Execution(t.Context(), "shop-3")
	if err != nil || e.Given["target"] != "production" {
		t.Errorf("%v %v", e.Given, err)
	}
}
