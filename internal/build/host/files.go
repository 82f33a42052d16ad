//go:build linux

package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
)

// The files of a build, in its directory beside the source. The build's
// commands cannot reach them where they run as a user of their own.
const (
	lockFile         = "runner.lock" // locked by the runner for as long as it lives
	runnerRecord     = "runner.json" // who the runner is
	instructionsFile = "runner-in.json"
	resultFile       = "result.json"
	wordsFile        = "runner.err" // what the runner says when it cannot run
	boxDir           = "box"        // home, temporary files and databases of the build
	servicesDir      = "services"   // below boxDir: the databases
	programFile      = "towline"    // below boxDir: this program
)

// instructions are what a runner needs to know.
type instructions struct {
	Build     build.Build `json:"build"`
	Dir       string      `json:"dir"`
	Source    string      `json:"source"`
	LogFile   string      `json:"logFile"`
	Cache     string      `json:"cache"`
	Templates string      `json:"templates"`
	Archives  string      `json:"archives,omitempty"` // of the pipeline's caches, "" when the build has none
	User      int         `json:"user"`               // user and group ID of the commands, -1 for the runner's own
	Boxed     bool        `json:"boxed"`
	Run       int         `json:"run"` // 1, or 2 after a lost runner
	Marker    string      `json:"marker"`
	Environ   []string    `json:"environ"`
	Users     []string    `json:"users,omitempty"`     // that a phase may run as
	Processes int         `json:"processes,omitempty"` // that the user may have at most
}

// runnerFile says which process the runner is.
type runnerFile struct {
	PID   int    `json:"pid"`   // as the server sees it
	Start uint64 `json:"start"` // clock ticks from boot to its start: a recycled PID has another
	Run   int    `json:"run"`
}

// result is how the runner ended.
type result struct {
	Ended build.Ended `json:"ended"`
	// Fault says why the build could not be run, and is empty when it could.
	Fault string `json:"fault,omitempty"`
}

func (r result) err() error {
	if r.Fault == "" {
		return nil
	}
	return errors.New(r.Fault)
}

// buildFiles reads and writes the files of one build.
type buildFiles struct{ dir string }

func (f buildFiles) path(name string) string { return filepath.Join(f.dir, name) }

// marker is a variable in the environment of every process of the build, by
// which they are found when their runner is lost.
func (f buildFiles) marker() string {
	sum := sha256.Sum256([]byte(f.dir))
	return hex.EncodeToString(sum[:8])
}

// lock takes the lock that a runner holds for its whole life; ok is false when
// another has it. The lock belongs to the open file, so that a child that
// inherits the file holds it on.
func (f buildFiles) lock() (file *os.File, ok bool, err error) {
	file, err = os.OpenFile(f.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("lock build: %w", err)
	}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == nil {
		return file, true, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("lock build: %w", err)
}

// held says whether somebody has the lock, without taking it.
func (f buildFiles) held() (bool, error) {
	file, err := os.OpenFile(f.path(lockFile), os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("look for the build's runner: %w", err)
	}
	defer file.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("look for the build's runner: %w", err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// runner is the last runner, or none with Run 0.
func (f buildFiles) runner() (runnerFile, error) {
	var r runnerFile
	_, err := f.read(runnerRecord, &r)
	return r, err
}

func (f buildFiles) result() (result, bool, error) {
	var r result
	ok, err := f.read(resultFile, &r)
	return r, ok, err
}

func (f buildFiles) instruct(in instructions) error { return f.write(instructionsFile, in) }

func (f buildFiles) read(name string, into any) (bool, error) {
	return build.ReadRecord(f.dir, name, into)
}

// write writes a file that is there whole or not at all, also after a crash of
// the machine.
func (f buildFiles) write(name string, what any) error {
	return build.WriteRecord(f.dir, name, what)
}

// lastWords is what a runner said before it ended without a result.
func (f buildFiles) lastWords() string {
	text, err := os.ReadFile(f.path(wordsFile))
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + string(text[:min(len(text), 2000)])
}

// clean removes what a build needs only while it runs.
func (f buildFiles) clean() error {
	_ = os.RemoveAll(socketDir(f.dir))
	if err := build.RemoveAll(f.path(boxDir)); err != nil {
		return fmt.Errorf("remove the build's temporary files: %w", err)
	}
	return nil
}
