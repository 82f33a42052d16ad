package image_test

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/towline/towline/internal/pipeline"
)

// BenchmarkImage is a service of 12 MB of program and 2 MB of assets from
// scratch: cold is new bytes each time, warm is the same job again.
func BenchmarkImage(b *testing.B) {
	for _, warm := range []bool{false, true} {
		b.Run(map[bool]string{false: "cold", true: "warm"}[warm], func(b *testing.B) {
			on := setup(b)
			self, err := os.Executable()
			must(b, err)
			program, err := os.ReadFile(self)
			must(b, err)
			program = program[:12<<20]
			files := map[string]string{"static/all.js": strings.Repeat("function f() { return 42 }\n", 70000)}
			cfg := pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}
			next := func(i int) pipeline.Job {
				copy(program[1<<20:], time.Duration(i).String()+b.Name())
				changed := maps.Clone(files)
				changed["web*"] = string(program)
				return on.job(changed, cfg)
			}
			job := next(0)
			on.run(job)
			b.ReportAllocs()
			for i := range b.N {
				if !warm {
					b.StopTimer()
					job = next(i + 1)
					b.StartTimer()
				}
				on.run(job)
			}
		})
	}
}

// BenchmarkChangedJar is an application's jar of 1 MB changed on a base of
// 60 MB in an OCI layout of the server.
func BenchmarkChangedJar(b *testing.B) {
	on := setup(b)
	bases := b.TempDir()
	big, err := random.Image(60<<20, 1)
	must(b, err)
	file := config(b, big).DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	big, err = mutate.ConfigFile(big, file)
	must(b, err)
	writeLayout(b, filepath.Join(bases, "jre"), mutate.ConfigMediaType(mutate.MediaType(big, types.OCIManifestSchema1), types.OCIConfigJSON))
	on.action.BaseDirs = []string{bases}
	next := func(i int) pipeline.Job {
		jar := make([]byte, 1<<20)
		for k := range jar {
			jar[k] = byte(k * (i + 7) >> 3)
		}
		return on.job(map[string]string{"web.jar": string(jar)}, pipeline.Image{
			Repository: "web", Base: "oci:" + filepath.Join(bases, "jre"), Entrypoint: []string{"java", "-jar", "/app/web.jar"}})
	}
	on.run(next(0))
	for i := range b.N {
		b.StopTimer()
		job := next(i + 1)
		b.StartTimer()
		on.run(job)
	}
}
