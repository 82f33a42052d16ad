package localkube

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestAListThatWasInterruptedIsMadeAgain(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such device")
	for name, c := range map[string]struct {
		interrupted int
		then, want  error
	}{
		"never interrupted":        {0, nil, nil},
		"interrupted twice":        {2, nil, nil},
		"interrupted all the time": {1 << 20, nil, netlink.ErrDumpInterrupted},
		"another error":            {1, broken, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := c.interrupted
			found, err := whole(func() ([]int, error) {
				if left--; left >= 0 {
					return []int{1}, netlink.ErrDumpInterrupted
				}
				return []int{1, 2}, c.then
			})
			if !errors.Is(err, c.want) || err == nil && len(found) != 2 {
				t.Errorf("%v, %v, want %v", found, err, c.want)
			}
		})
	}
}
