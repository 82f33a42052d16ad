package usage

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box/process"
)

// atLeastEvery is how often the places are walked through when nothing tells
// that it is needed: others may free space while these are filled.
const atLeastEvery = 15 * time.Second

// disk looks at what lies in the places. A walk through a large tree takes long,
// asking a file system how much it has left does not: as long as that has not
// become less by what the places may still take, there is no need to walk.
type disk struct {
	limits Limits
	places []Place
	walks  pace
	walked time.Time
	free   int64 // on all file systems of the places before the last walk
	used   int64 // found by it
}

func newDisk(limits Limits, places []Place) *disk {
	// What lies there already is not walked through at once: most runs are short.
	d := &disk{limits: limits, places: places, walks: pace{every: lookEvery}, walked: time.Now()}
	for _, s := range d.systems() {
		d.free += s.free
	}
	return d
}

func (d *disk) look() *Excess {
	now := time.Now()
	if d.limits.Disk <= 0 && d.limits.Files <= 0 && d.limits.Spare <= 0 || !d.walks.due(now) {
		return nil
	}
	systems := d.systems()
	free, low := int64(0), false
	for _, s := range systems {
		free += s.free
		low = low || s.free < d.limits.Spare
	}
	// Half of it, since others may have freed some meanwhile.
	near := d.limits.Disk > 0 && d.free-free >= (d.limits.Disk-d.used)/2
	if !low && !near && now.Sub(d.walked) < atLeastEvery && d.limits.Files <= 0 {
		return nil
	}
	defer d.walks.looked(now)
	d.walked, d.free = now, free
	return d.walk(systems)
}

// system is a file system on which places lie.
type system struct {
	free int64
	used int64 // by the places
}

// systems are those of the places, by their device.
func (d *disk) systems() map[uint64]*system {
	found := map[uint64]*system{}
	for _, place := range d.places {
		var info unix.Stat_t
		if unix.Stat(place.Path, &info) != nil || found[info.Dev] != nil {
			continue
		}
		var about unix.Statfs_t
		if unix.Statfs(place.Path, &about) == nil {
			// What is kept for root is not for who is watched here.
			found[info.Dev] = &system{free: int64(about.Bavail) * about.Bsize}
		}
	}
	return found
}

// walk measures the places.
func (d *disk) walk(systems map[uint64]*system) *Excess {
	w := walk{systems: systems, seen: map[inode]bool{}}
	var most Place
	mostUsed, files := int64(0), 0
	for _, place := range d.places {
		used, found := w.place(place.Path)
		files += found
		if used > mostUsed {
			most, mostUsed = place, used
		}
	}
	if used := w.open(); used > mostUsed {
		most, mostUsed = Place{Name: "files that are open and have no name in these directories"}, used
	}
	d.used = w.used
	e := &Excess{Kind: Disk, Used: w.used, Limit: d.limits.Disk, Most: most.Name, MostUsed: mostUsed}
	if d.limits.Disk > 0 && w.used > d.limits.Disk {
		return e
	}
	if d.limits.Files > 0 && files > d.limits.Files {
		return &Excess{Kind: Files, Used: int64(files), Limit: int64(d.limits.Files), Most: most.Name, MostUsed: mostUsed}
	}
	for _, s := range systems {
		if s.free < min(d.limits.Spare, s.used) {
			e.Kind, e.Limit = Space, s.free
			return e
		}
	}
	return nil
}

// inode is a file, whatever its names.
type inode struct{ device, number uint64 }

// walk adds up what files take.
type walk struct {
	systems map[uint64]*system
	seen    map[inode]bool // files with several names
	used    int64
}

// place is what lies in a directory, or a file. Links are not followed.
func (w *walk) place(path string) (used int64, files int) {
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // It was removed meanwhile.
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // As above.
		}
		files++
		used += w.add(info)
		return nil
	})
	return used, files
}

// add counts a file, once.
func (w *walk) add(info fs.FileInfo) int64 {
	about, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	s := w.systems[about.Dev]
	if s == nil {
		return 0 // mounted there, as shared memory is
	}
	if id := (inode{about.Dev, about.Ino}); about.Nlink > 1 && !info.IsDir() {
		if w.seen[id] {
			return 0
		}
		w.seen[id] = true
	}
	size := about.Blocks * 512
	s.used += size
	w.used += size
	return size
}

// open is what files take that descendants of this process have open and that
// have no name any more: nobody finds them by walking.
func (w *walk) open() (used int64) {
	all, err := process.All()
	if err != nil {
		return 0
	}
	for _, p := range process.Descendants(all) {
		dir := filepath.Join("/proc", strconv.Itoa(p.PID), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if target, err := os.Readlink(path); err != nil || !strings.HasSuffix(target, " (deleted)") {
				continue
			}
			info, err := os.Stat(path)
			if err == nil && info.Mode().IsRegular() {
				used += w.addNameless(info)
			}
		}
	}
	return used
}

// addNameless counts a file without a name, which several processes may have
// open.
func (w *walk) addNameless(info fs.FileInfo) int64 {
	about, ok := info.Sys().(*syscall.Stat_t)
	if !ok || about.Nlink > 0 || w.seen[inode{about.Dev, about.Ino}] {
		return 0
	}
	w.seen[inode{about.Dev, about.Ino}] = true
	return w.add(info)
}
