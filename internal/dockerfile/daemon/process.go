package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// process is one run of buildkitd.
type process struct {
	daemon   *Daemon
	enclosed *enclosure.Enclosure
	done     chan struct{} // closed when it has ended and was cleared up after
	why      string        // valid then
}

// launch starts buildkitd.
func (d *Daemon) launch(program string) (*process, error) {
	log, err := os.OpenFile(d.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append(slices.Clone(d.config.Program[1:]), program, "--config", d.settingsFile())
	cmd := exec.Command(d.config.Program[0], args...) //nolint:noctx // It outlives the build that started it.
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.runDir(), d.environment(), log, log
	p := &process{daemon: d, done: make(chan struct{})}
	if p.enclosed, err = enclosure.Start(cmd); err != nil {
		return nil, err
	}
	go p.watch()
	return p, nil
}

func (p *process) watch() {
	<-p.enclosed.Done()
	p.why = fmt.Sprintf("BuildKit has ended (%s)%s", p.enclosed.State(), lastLines(p.daemon.logFile()))
	if err := enclosure.SweepGroups(p.daemon.group()); err != nil {
		p.daemon.config.Logger.Warn("remove the control groups of BuildKit", "error", err)
	}
	close(p.done)
}

// ended says how it ended, "" while it runs.
func (p *process) ended() string {
	select {
	case <-p.done:
		return p.why
	default:
		return ""
	}
}

// grace is how long buildkitd may take to close its databases.
const grace = 5 * time.Second

// stop ends the process and all that it started.
func (p *process) stop() {
	p.enclosed.Stop(grace)
	<-p.done
}

// environment is what buildkitd gets: no step's output is clipped.
func (d *Daemon) environment() []string {
	return append(enclosure.Environ(), "HOME="+d.runDir(), "TMPDIR="+d.config.Dir+"/tmp",
		"BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1")
}

// tail is how much of a log's end is looked at, in bytes.
const tail = 2 << 10

// lastLines are the end of a log, to be put behind what it explains.
func lastLines(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		_, _ = f.Seek(-tail, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(f, tail))
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if err != nil && !errors.Is(err, io.EOF) || len(lines[0]) == 0 {
		return ""
	}
	return ": " + strings.ToValidUTF8(string(bytes.Join(lines[max(0, len(lines)-3):], []byte(" / "))), "?")
}
