package localkube

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// meter estimates how far the compiler is. go build -v names each package as
// it is begun, and a package weighs as much as its source text. Packages that
// are in Go's own cache are not named: then the end comes sooner than said.
type meter struct {
	progress func(string)
	began    time.Time
	end      chan struct{}
	wait     sync.WaitGroup

	mu         sync.Mutex
	weight     map[string]int64 // of each package not yet compiled
	total      int64
	done       int64
	program    string // being compiled
	packages   int    // in all
	compiled   int
	downloaded int
}

// newMeter lists what there is to compile, which downloads the modules.
func newMeter(ctx context.Context, source string, progress func(string)) (*meter, error) {
	m := &meter{progress: progress, began: time.Now(), end: make(chan struct{}), weight: map[string]int64{}}
	m.wait.Go(m.tell)
	for _, module := range modules() {
		if err := m.list(ctx, filepath.Join(source, module.dir), module); err != nil {
			m.stop()
			return nil, err
		}
	}
	return m, nil
}

func (m *meter) list(ctx context.Context, dir string, of module) error {
	args := []string{"list", "-deps", "-f", `{{.ImportPath}}{{"\t"}}{{.Dir}}{{range .GoFiles}}{{"\t"}}{{.}}{{end}}`}
	for _, p := range of.programs {
		args = append(args, p.pkg)
	}
	cmd := goCommand(ctx, dir, args...)
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go: %w", err)
	}
	last := m.read(said)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("list the packages of %s: %w: %s", dir, err, strings.Join(last, "\n"))
	}
	m.add(out.String())
	return nil
}

// add takes the lines of go list: path, directory and files of a package.
func (m *meter) add(list string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(list) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if _, known := m.weight[fields[0]]; known || len(fields) < 2 {
			continue
		}
		var size int64
		for _, file := range fields[2:] {
			if info, err := os.Stat(filepath.Join(fields[1], file)); err == nil {
				size += info.Size()
			}
		}
		m.weight[fields[0]] = size
		m.total += size
		m.packages++
	}
}

// read follows what go says until it has no more to say, and returns the last
// lines that are not names of packages: the errors, if there are any.
func (m *meter) read(said io.Reader) []string {
	var last []string
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !m.note(lines.Text()) {
			last = append(last, lines.Text())
			last = last[max(0, len(last)-20):]
		}
	}
	return last
}

// note takes one line of go's and tells whether it was about progress.
func (m *meter) note(line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(line, "go: downloading ") {
		m.downloaded++
		return true
	}
	size, known := m.weight[line]
	if known && size >= 0 {
		m.done += size
		m.compiled++
		m.weight[line] = -1
	}
	return known
}

func (m *meter) stop() {
	select {
	case <-m.end:
	default:
		close(m.end)
	}
	m.wait.Wait()
}

// tell gives a line from time to time: often enough to show life, seldom
// enough for a log.
func (m *meter) tell() {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-m.end:
			return
		case <-ticker.C:
			m.progress(m.line(time.Since(m.began)))
		}
	}
}

func (m *meter) line(elapsed time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	clock := elapsed.Round(time.Second)
	switch {
	case m.program == "":
		return fmt.Sprintf("compiling Kubernetes: %d modules downloaded, %s", m.downloaded, clock)
	case m.compiled < 50:
		return fmt.Sprintf("compiling Kubernetes: linking %s from Go's build cache, %s", m.program, clock)
	}
	text := fmt.Sprintf("compiling Kubernetes: %s, %d of at most %d packages, %s", m.program, m.compiled, m.packages, clock)
	// The first few per cent say little about the rest.
	if share := float64(m.done) / float64(m.total); share > 0.05 {
		left := time.Duration(float64(elapsed) * (1 - share) / share)
		text += fmt.Sprintf(", at most %s left", left.Round(10*time.Second))
	}
	return text
}

// begin says which program the next packages are for.
func (m *meter) begin(program string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.program = program
}
