package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// prepare makes the directories and writes the settings for buildkitd. The
// runtime is the path of runc or crun.
func (d *Daemon) prepare(containers string) error {
	if err := os.RemoveAll(d.runDir()); err != nil {
		return err
	}
	for _, dir := range []string{d.config.Dir, d.runDir(), filepath.Join(d.config.Dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the directory of BuildKit: %w", err)
		}
	}
	if err := os.WriteFile(d.settingsFile(), []byte(d.settings(containers)), 0o600); err != nil {
		return fmt.Errorf("write the settings of BuildKit: %w", err)
	}
	return errors.Join(enclosure.SweepGroups(d.group()), d.keepLog())
}

func (d *Daemon) settingsFile() string { return filepath.Join(d.config.Dir, "buildkitd.toml") }

// keepLog makes the log of the last start the old one.
func (d *Daemon) keepLog() error {
	err := os.Rename(d.logFile(), d.logFile()+".old")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// group is the control group below which containers are.
func (d *Daemon) group() string {
	sum := sha256.Sum256([]byte(d.config.Dir))
	return "towline-buildkit-" + hex.EncodeToString(sum[:4])
}

// settings are in buildkitd's form. It keeps no history of builds: their logs
// are Towline's, which masks what is secret in them.
func (d *Daemon) settings(containers string) string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("root = %s", quote(filepath.Join(d.config.Dir, "state")))
	line("[grpc]\naddress = [%s]", quote("unix://"+socketFile))
	line("[log]\nlevel = \"warn\"")
	line("[history]\nmaxAge = 1\nmaxEntries = 1")
	line("[cdi]\ndisabled = true")
	line("[worker.containerd]\nenabled = false")
	line("[worker.oci]\nenabled = true\nbinary = %s", quote(containers))
	// Commands share the network of the machine, as those of a build on it do.
	line("networkMode = \"host\"\ndefaultCgroupParent = %s", quote("/"+d.group()))
	line("max-parallelism = %d", max(2, runtime.NumCPU()))
	line("gc = true\nreservedSpace = %d\nmaxUsedSpace = %d", d.config.CacheLimit/10, d.config.CacheLimit)
	for _, host := range d.config.Insecure {
		line("[registry.%s]\nhttp = true", quote(host))
	}
	return text.String()
}

// quote writes a string of TOML. Go's escapes of printable text are TOML's too.
func quote(text string) string { return strconv.Quote(text) }
