package pod

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestMatchFindsWhatWasCopied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		here, there string
		want        string // of there
	}{
		"nothing here":                        {"", "1 a\n2 b\n", ""},
		"nothing there":                       {"1 a\n", "", ""},
		"all of it":                           {"1 a\n2 b\n", "1 a\n2 b\n", "1 a\n2 b\n"},
		"a part":                              {"1 a\n", "1 a\n2 b\n", "1 a\n"},
		"lines of others between":             {"x\n1 a\ny\n2 b\nz\n", "1 a\n2 b\n3 c\n", "1 a\n2 b\n"},
		"only lines of others":                {"x\ny\n", "1 a\n", ""},
		"a line that was cut off":             {"1 a\n2 bb", "1 a\n2 bbbb\n3 c\n", "1 a\n2 bb"},
		"a line of another that was cut off":  {"1 a\nxx", "1 a\n2 bbbb\n", "1 a\n"},
		"equal lines, some of them":           {"1 a\n1 a\n", "1 a\n1 a\n1 a\n", "1 a\n1 a\n"},
		"a line without an end in both":       {"1 a\n2", "1 a\n2", "1 a\n2"},
		"an equal line of another comes last": {"1 a\n2 b\n", "2 b\n", "2 b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, _ := match([]byte(c.here), []byte(c.there))
			if got := c.there[:found]; got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// TestNoLineIsLostOrDoubled copies logs, cut anywhere, between lines of others,
// and goes on after crashes.
func TestNoLineIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		var there bytes.Buffer
		for range random.IntN(30) {
			fmt.Fprintf(&there, "stamp %d text %d\n", random.IntN(3), random.IntN(3)) // many are equal
		}
		whole := there.Bytes()
		var here, copied []byte
		noted, remote, cut := 0, 0, false
		for remote < len(whole) {
			if !cut && random.IntN(3) == 0 {
				here = append(here, "line of another\n"...)
			}
			n := random.IntN(len(whole) - remote + 1)
			if random.IntN(4) > 0 { // as a rule, whole lines
				n = bytes.LastIndexByte(whole[remote:remote+n], '\n') + 1
			}
			here = append(here, whole[remote:remote+n]...)
			copied = append(copied, whole[remote:remote+n]...)
			cut = remote+n < len(whole) && remote+n > 0 && whole[remote+n-1] != '\n'
			if !cut && random.IntN(2) == 0 { // it is noted
				remote += n
				here, noted = nil, remote
				continue
			}
			// A crash: only what was noted is known, and what stands here.
			found, _ := match(here, whole[noted:])
			remote = noted + found
			if remote != len(copied) {
				t.Fatalf("round %d: %d bytes were copied and %d are found\nhere:  %q\nthere: %q", round, len(copied), remote, here, whole[noted:])
			}
		}
		if !bytes.Equal(copied, whole) {
			t.Fatalf("round %d: copied %q of %q", round, copied, whole)
		}
	}
}
