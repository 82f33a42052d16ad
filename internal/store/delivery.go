package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keepDeliveries is how long a message of a webhook is remembered. Forges send
// one again for some days at most.
const keepDeliveries = 90 * 24 * time.Hour

// ErrTaken is returned for a message that was taken before.
var ErrTaken = errors.New("this message has been taken before")

// TakeDelivery remembers the keys of a message that came to a webhook, in the
// transaction in which what it leads to is recorded: both are done or neither.
// The error is ErrTaken when one of the keys is known; it must end the
// transaction, or the others would be kept. Messages that are older than three
// months are forgotten.
func TakeDelivery(ctx context.Context, q Querier, hook string, keys []string, at time.Time) error {
	for _, key := range keys {
		rows, err := q.Exec(ctx, `INSERT INTO deliveries (hook, key, taken) VALUES ($1, $2, $3) ON CONFLICT (hook, key) DO NOTHING`, hook, key, sortableTime(at))
		if err != nil {
			return fmt.Errorf("save delivery to webhook %s: %w", hook, err)
		}
		if rows == 0 {
			return ErrTaken
		}
	}
	if _, err := q.Exec(ctx, `DELETE FROM deliveries WHERE taken < $1`, sortableTime(at.Add(-keepDeliveries))); err != nil {
		return fmt.Errorf("forget old deliveries: %w", err)
	}
	return nil
}
