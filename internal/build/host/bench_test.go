package host_test

import (
	"testing"

	"github.com/towline/towline/internal/build/buildtest"
)

func BenchmarkBuild(b *testing.B) {
	h := newHost(b, false)
	for name, services := range map[string]int{"alone": 0, "with a database": 1} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				bb := buildtest.New(b, "true")
				for range services {
					bb.Services = append(bb.Services, serviceDB)
				}
				if _, err := h.Run(b.Context(), bb); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChattyBuild runs a build that prints 108 MB as fast as it can, the
// same command with its output in a file, and without output. A real build takes
// at least ten times as long for as much, since it also does something.
func BenchmarkChattyBuild(b *testing.B) {
	h := newHost(b, false)
	command := `awk 'BEGIN { for (i = 0; i < 1000000; i++) printf "%07d %s %.6f\n", i, "ok  github.com/acme/web/internal/some/package/of/ours compiled and tested, all right,", sqrt(i) }'`
	for name, to := range map[string]string{"logged": "", "to a file": " > out", "thrown away": " > /dev/null"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(108e6)
			for b.Loop() {
				if _, err := h.Run(b.Context(), buildtest.New(b, command+to)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
