package pipeline

import "time"

// Drain is what the drain rehearsal found out: how the application behaves
// when one of its pods is told to end, measured on a spare pod.
type Drain struct {
	Template   string    `json:"template,omitempty"` // hash of the pod template that was rehearsed
	Rehearsed  time.Time `json:"rehearsed,omitzero"`
	Unmeasured string    `json:"unmeasured,omitempty"` // why nothing could be measured; the figures then mean nothing
	Clean      bool      `json:"clean"`                // no client loses a request by the end of a pod
	Sentence   string    `json:"sentence"`             // what was found, for people
	Advice     string    `json:"advice,omitempty"`     // about preStop and the grace period, empty when they are long enough

	Connections int `json:"connections"` // kept open by the clients of the rehearsal
	InFlight    int `json:"inFlight"`    // requests that waited for their answer when the application was told to end
	Cut         int `json:"cut"`         // of these and those after them, requests without an answer
	Told        int `json:"told"`        // connections whose client was told to close them, by "Connection: close"
	IdleAtOnce  int `json:"idleAtOnce"`  // idle connections that were closed while other clients were not told yet
	Idle        int `json:"idle"`        // connections that were idle
	ExitCode    int `json:"exitCode"`    // of the application's container, 137 when it was killed

	SettleSeconds float64 `json:"settleSeconds"` // from the request to end the pod to the last byte of an answer
	EndSeconds    float64 `json:"endSeconds"`    // from the request to end the pod to the end of the application, without preStop
	PreStop       float64 `json:"preStop"`       // seconds that the template lets it wait before it is told
	Grace         float64 `json:"grace"`         // seconds after which it is killed, preStop included
	Killed        bool    `json:"killed,omitempty"`
	Proxied       bool    `json:"proxied,omitempty"` // the draining proxy stood before the application
}
