//go:build linux

package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/build"
)

// The files of a build, in its directory beside the source. The build's
// commands cannot reach them where they run as a user of their own.
const (
	instructionsFile = "runner-in.json"
	resultFile       = "result.json"
	boxDir           = "box"      // home, temporary files and databases of the build
	servicesDir      = "services" // below boxDir: the databases
	layersDir        = "layers"   // and what they change of their templates
	programFile      = "towline"  // below boxDir: this program
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
	Users     []string    `json:"users,omitempty"` // that a phase may run as
	Limits    limits      `json:"limits"`
	CachesAt  string      `json:"cachesAt"` // the pipeline's caches as an operator finds them
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

// buildFiles are the files of one build.
type buildFiles struct{ dir string }

func (f buildFiles) path(name string) string { return filepath.Join(f.dir, name) }

// marker is a variable in the environment of every process of the build, by
// which they are found when their runner is lost.
func (f buildFiles) marker() string {
	sum := sha256.Sum256([]byte(f.dir))
	return hex.EncodeToString(sum[:8])
}

func (f buildFiles) result() (result, bool, error) {
	var r result
	ok, err := box.ReadRecord(f.dir, resultFile, &r)
	return r, ok, err
}

// clean removes what a build needs only while it runs.
func (f buildFiles) clean() error {
	_ = os.RemoveAll(socketDir(f.dir))
	if err := box.RemoveAll(f.path(boxDir)); err != nil {
		return fmt.Errorf("remove the build's temporary files: %w", err)
	}
	return nil
}
