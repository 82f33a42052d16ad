package client

import "time"

// Changed is the event that something has changed. What it is now is asked for.
type Changed struct {
	At time.Time `json:"at"`
}

// Quiet is the event that nothing has changed for a while.
type Quiet struct {
	At time.Time `json:"at"`
}
