package artifact

import (
	"math/rand/v2"
	"time"
)

// noise is n bytes that cannot be compressed, the same on each call.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func timeOf(second int64) time.Time { return time.Unix(second, 0) }
