package image_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	native := program(machines[runtime.GOARCH], "")
	foreign := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	cases := []struct {
		name  string
		files map[string]string
		cfg   pipeline.Image
		want  string // nothing means no warning
	}{
		{"a script", map[string]string{"web*": "#!"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, ""},
		{"a program for this processor", map[string]string{"web*": native}, pipeline.Image{Entrypoint: []string{"/app/web"}}, ""},
		{"a program for another one", map[string]string{"web*": native}, pipeline.Image{Entrypoint: []string{"/app/web"}, Platforms: []string{foreign}}, "is built for"},
		{"a program that needs a linker", map[string]string{"web*": program(machines["amd64"], "/lib64/ld.so")}, pipeline.Image{Entrypoint: []string{"/app/web"}, Platforms: []string{"linux/amd64"}}, "needs /lib64/ld.so"},
		{"a file that is missing", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"/app/wbe"}}, "is not in the image; the artifact's files are in /app"},
		{"a file that is not executable", map[string]string{"web": "1"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, "chmod +x"},
		{"a directory", map[string]string{"web/x": "1"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, "not a file"},
		{"a path from the working directory", map[string]string{"bin/web*": "1"}, pipeline.Image{Entrypoint: []string{"bin/web"}}, ""},
		{"a link", map[string]string{"current@": "bin/web", "bin/web*": "1"}, pipeline.Image{Entrypoint: []string{"./current"}}, ""},
		{"a name that PATH finds", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"web"}, Env: map[string]string{"PATH": "/bin:/app"}}, ""},
		{"a name that PATH does not find", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"web"}}, "is not in the image"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.cfg.Repository = "web"
			_, text := b.run(b.job(c.files, c.cfg))
			if got := strings.Contains(text, "warning: "); got != (c.want != "") || !strings.Contains(text, c.want) {
				t.Errorf("want a warning with %q:\n%s", c.want, text)
			}
		})
	}
}

// machines are the numbers of ELF.
var machines = map[string]byte{"amd64": 62, "arm64": 183}

// program is the smallest ELF program, with the dynamic linker that it names.
func program(machine byte, linker string) string {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, machine, 1                   // executable, for that machine, version
	b[32], b[52], b[54], b[56], b[58] = 64, 64, 56, 1, 64 // program headers at 64, one of 56 bytes
	if linker != "" {
		b[64] = 3 // PT_INTERP
		linker += "\x00"
		b[64+8], b[64+32], b[64+40] = byte(len(b)), byte(len(linker)), byte(len(linker))
	}
	return string(b) + linker
}
