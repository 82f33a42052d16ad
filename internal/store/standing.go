package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// ErrBadCursor is returned for a place in a list that no list has named.
var ErrBadCursor = errors.New("no such place in the list")

// Standing is how one pipeline stands. The executions are slim: see
// pipeline.Execution.Slim.
type Standing struct {
	Pipeline   string
	Repository string // "" when it was defined through the API
	// Last is the newest execution, nil before the first.
	Last *pipeline.Execution
	// State has the executions that have not ended, oldest first, and the closed
	// transitions.
	State pipeline.State
	// Next is the place in the list after this pipeline.
	Next string
}

// Standings count pipelines.
type Standings struct {
	Pipelines int
	Running   int // of which something runs, and nothing waits
	Waiting   int // of which an execution waits
	Failed    int // whose newest execution has failed; it may also be one of the others
}

// StandingFilter picks a page of standings.
type StandingFilter struct {
	Text  string // in the name of the pipeline or of its repository; capitals do not matter
	After string // Standing.Next of the page before
	Limit int
}

// saveStanding keeps the overview's part of an execution. Others that have
// ended are no more looked at once a newer one is there.
func saveStanding(ctx context.Context, q Querier, e pipeline.Execution) error {
	text, err := json.Marshal(e.Slim())
	if err != nil {
		return fmt.Errorf("encode execution %s: %w", e.ID, err)
	}
	waits := 0
	if e.Waiting() {
		waits = 1
	}
	_, err = q.Exec(ctx, `INSERT INTO standings (pipeline, number, status, waits, started, execution) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (pipeline, number) DO UPDATE SET status = excluded.status, waits = excluded.waits, execution = excluded.execution`,
		e.Pipeline, e.Number, string(e.Status), waits, max(e.Started.UnixMilli(), 0), string(text))
	if err == nil && e.Done() {
		_, err = q.Exec(ctx, `DELETE FROM standings WHERE pipeline = $1 AND number < (SELECT max(number) FROM standings WHERE pipeline = $1) AND NOT `+unfinished, e.Pipeline)
	}
	if err != nil {
		return fmt.Errorf("save how %s stands: %w", e.Pipeline, err)
	}
	return nil
}

// standings ranks all pipelines among those that need a look (0 failed, 1
// waiting, 2 running, 3 neither), counts them, and reads one page.
const standings = `WITH tops AS (
		SELECT pipeline, max(number) AS number, max(waits) AS waits, sum(` + unfinished + `) AS open FROM standings GROUP BY pipeline
	), ranked AS MATERIALIZED (
		SELECT p.name, p.repository, coalesce(s.started, 0) AS started, coalesce(tops.number, 0) AS number, coalesce(tops.open, 0) AS open, coalesce(tops.waits, 0) AS waits,
			coalesce(CASE WHEN s.status = 'Failed' THEN 0 WHEN tops.waits THEN 1 WHEN tops.open > 0 THEN 2 END, 3) AS rank
		FROM pipelines p LEFT JOIN tops ON tops.pipeline = p.name LEFT JOIN standings s ON s.pipeline = p.name AND s.number = tops.number
		WHERE p.deleted IS NULL AND ($1 = '' OR instr(lower(p.name), lower($1)) OR instr(lower(p.repository), lower($1)))
	), total AS (
		SELECT count(*) AS pipelines, coalesce(sum(open > 0 AND NOT waits), 0) AS running, coalesce(sum(waits), 0) AS waiting, coalesce(sum(rank = 0), 0) AS failed FROM ranked
	), page AS (
		SELECT * FROM ranked WHERE (rank, -started, name) > ($2, $3, $4) ORDER BY rank, -started, name LIMIT $5
	) SELECT total.pipelines, total.running, total.waiting, total.failed, coalesce(page.name, ''), coalesce(page.repository, ''), coalesce(page.started, 0), coalesce(page.rank, 0), s.execution
	FROM total LEFT JOIN page ON true LEFT JOIN standings s ON s.pipeline = page.name AND s.number = page.number ORDER BY page.rank, -page.started, page.name`

// place is where a pipeline stands in the list.
type place struct {
	Rank    int    `json:"r"`
	Started int64  `json:"s"`
	Name    string `json:"n"`
}

func (p place) String() string {
	text, _ := json.Marshal(p) //nolint:errchkjson // numbers and a text can be written
	return base64.RawURLEncoding.EncodeToString(text)
}

// first is before all places.
var first = place{Rank: -1}

func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return first, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return p, fmt.Errorf("read %q: %w", cursor, ErrBadCursor)
	}
	return p, nil
}

// Standings lists how pipelines stand: those whose newest execution has failed,
// those of which something waits, those of which something runs, then the
// others; among these the one that was started last first. The counts are of
// all pipelines that the text picks. A pipeline whose rank changes between two
// pages may come twice or not at all.
func (db *DB) Standings(ctx context.Context, filter StandingFilter) (found []Standing, total Standings, err error) {
	after, err := parsePlace(filter.After)
	if err != nil {
		return nil, total, err
	}
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, standings, filter.Text, after.Rank, -after.Started, after.Name, filter.Limit)
		if err != nil {
			return fmt.Errorf("list how pipelines stand: %w", err)
		}
		_, err = scanAll(rows, func() (none struct{}, err error) {
			s, err := scanStanding(rows, &total)
			if err == nil && s.Pipeline != "" { // A page that is empty has the counts alone.
				found = append(found, s)
			}
			return none, err
		})
		if err != nil {
			return err
		}
		return complete(ctx, q, found)
	})
	return found, total, err
}

func scanStanding(rows Rows, total *Standings) (s Standing, err error) {
	var at place
	var last []byte
	err = rows.Scan(&total.Pipelines, &total.Running, &total.Waiting, &total.Failed, &at.Name, &s.Repository, &at.Started, &at.Rank, &last)
	if err != nil {
		return s, err
	}
	s.Pipeline, s.Next = at.Name, at.String()
	if len(last) > 0 {
		err = json.Unmarshal(last, &s.Last)
	}
	return s, err
}

// complete loads what the pipelines' executions that have not ended wait for.
func complete(ctx context.Context, q Querier, found []Standing) error {
	byName := map[string]*Standing{}
	var names []string
	for i := range found {
		byName[found[i].Pipeline] = &found[i]
		names = append(names, found[i].Pipeline)
	}
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	rows, err := q.Query(ctx, `SELECT pipeline, execution FROM standings WHERE pipeline IN (SELECT value FROM json_each($1)) AND `+unfinished+` ORDER BY pipeline, number`, string(list))
	if err != nil {
		return fmt.Errorf("list what runs: %w", err)
	}
	_, err = scanAll(rows, func() (none struct{}, err error) {
		var name string
		var text []byte
		if err := rows.Scan(&name, &text); err != nil {
			return none, err
		}
		var e pipeline.Execution
		if err := json.Unmarshal(text, &e); err != nil {
			return none, err
		}
		s := byName[name]
		s.State.Executions = append(s.State.Executions, e)
		return none, nil
	})
	if err != nil {
		return err
	}
	for _, s := range byName {
		if len(s.State.Executions) == 0 {
			continue
		}
		if s.State.Disabled, err = Transitions(ctx, q, s.Pipeline); err != nil {
			return err
		}
	}
	return nil
}
