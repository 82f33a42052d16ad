package pipeline

import (
	"fmt"
	"time"
)

// Deployment is the record of one deployment of one application.
type Deployment struct {
	App       string    `json:"app"`
	Namespace string    `json:"namespace"`
	Cluster   string    `json:"cluster,omitempty"`
	Revision  int       `json:"revision"` // of the application in the cluster's journal, from 1
	Previous  int       `json:"previous,omitempty"`
	Strategy  string    `json:"strategy"`
	Method    string    `json:"method"`
	Outcome   Outcome   `json:"outcome"`
	Waiting   bool      `json:"waiting,omitempty"` // under way, and for towline promote
	Reverted  bool      `json:"reverted,omitempty"`
	Message   string    `json:"message,omitempty"`
	Commit    string    `json:"commit,omitempty"`
	Execution string    `json:"execution,omitempty"`
	Images    []string  `json:"images,omitempty"` // by digest
	URL       string    `json:"url,omitempty"`    // where the application answers, when that is known
	Started   time.Time `json:"started"`
	Seconds   float64   `json:"seconds"`
	Verdict   *Verdict  `json:"verdict,omitempty"`
	Drain     []Drain   `json:"drain,omitempty"` // what the drain rehearsal found out, one per Deployment that gets requests
}

// Verdict is the measured loss of one deployment. Its JSON is less than 8 KiB,
// however long and bad the deployment was: the cluster's journal keeps it.
type Verdict struct {
	Requests     int            `json:"requests"`
	Lost         int            `json:"lost"`
	NotSent      int            `json:"notSent,omitempty"` // were due, but the prober itself had no time or means to send them
	LongestGapMs int64          `json:"longestGapMs"`      // longest time between two answered requests
	P50Ms        float64        `json:"p50Ms"`             // the latency that half of the answers did not exceed, from sending to the last byte
	P90Ms        float64        `json:"p90Ms,omitempty"`
	P95Ms        float64        `json:"p95Ms,omitempty"`
	P99Ms        float64        `json:"p99Ms"`
	MaxMs        float64        `json:"maxMs,omitempty"`
	Rate         float64        `json:"rate"` // requests per second really sent, but for the time at rest (see probe.Prober.Rest)
	Target       string         `json:"target"`
	Via          string         `json:"via,omitempty"`       // the way of the requests, such as "node port 30080 of node1"
	Fresh        Lane           `json:"fresh"`               // each request on a new connection
	KeepAlive    Lane           `json:"keepAlive"`           // requests on connections kept open
	Losses       map[string]int `json:"losses,omitempty"`    // how many of each cause, e.g. "connection refused"
	Responses    map[string]int `json:"responses,omitempty"` // how many of each HTTP status
	Hint         string         `json:"hint,omitempty"`      // what the losses come from and how to mend it, when that is known
	Partial      string         `json:"partial,omitempty"`   // what the counts leave out or mean little for, empty when they stand for the whole deployment
	Marks        []Mark         `json:"marks,omitempty"`     // what the deployment did, in order; the first one is the start
	Timeline     *Timeline      `json:"timeline,omitempty"`  // the counts over time
}

// Lane is one way of sending the prober's requests.
type Lane struct {
	Requests     int            `json:"requests"`
	Lost         int            `json:"lost"`
	LongestGapMs int64          `json:"longestGapMs,omitempty"` // between two requests that this lane had answered
	Losses       map[string]int `json:"losses,omitempty"`       // how many of each cause
}

// Mark is a moment of the deployment and what was counted from it to the next
// one, or to the end. A request belongs to the moment in which its fate was
// known.
type Mark struct {
	AtMs     int64  `json:"atMs"` // since the first request was due
	Text     string `json:"text"`
	Requests int    `json:"requests"`
	Lost     int    `json:"lost"`
}

// Timeline is what was counted in each of many equal stretches of time, oldest
// first. A column whose rest is 0 may end early.
type Timeline struct {
	EveryMs  int64   `json:"everyMs"`
	Requests []int   `json:"requests"`
	Lost     []int   `json:"lost,omitempty"`
	GapMs    []int64 `json:"gapMs,omitempty"` // longest time between two answers, of those that ended in this stretch
}

// String is the verdict in one line: "0 of 1204 requests lost · longest gap 14 ms".
// When there are losses, it tells new connections from those kept open.
func (v Verdict) String() string {
	s := fmt.Sprintf("%d of %d requests lost", v.Lost, v.Requests)
	if v.Lost > 0 {
		s += fmt.Sprintf(" (%d of %d on new connections, %d of %d on kept ones)", v.Fresh.Lost, v.Fresh.Requests, v.KeepAlive.Lost, v.KeepAlive.Requests)
	}
	s += fmt.Sprintf(" · longest gap %d ms", v.LongestGapMs)
	if v.NotSent > 0 {
		s += fmt.Sprintf(" · %d not sent", v.NotSent)
	}
	if v.Partial != "" {
		s += " · " + v.Partial
	}
	return s
}
