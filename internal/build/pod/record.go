package pod

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/pod/runner"
)

// The files of a build, in its directory beside the source.
const (
	recordFile = "pod.json"
	resultFile = "result.json"
)

// record is what the server knows of a build's Pod, kept before it is needed.
type record struct {
	Run       int       `json:"run"` // 1, or 2 after a lost Pod; 0 before the first
	Cluster   string    `json:"cluster"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	UID       types.UID `json:"uid,omitempty"` // once it is known to be made
	// Mark is in the Pod's annotations: one that was made by this record.
	Mark  string `json:"mark"`
	Token string `json:"token"` // the runner's
	// Avoid is the node that the run before was lost on, where it is known.
	Avoid string `json:"avoid,omitempty"`
	// Passwords are those of the services, in their order.
	Passwords []string `json:"passwords,omitempty"`
	Log       copied   `json:"log"`
	// Fetching is set before the first changed file is written.
	Fetching bool `json:"fetching,omitempty"`
}

// copied is a moment at which the log of the Pod was here up to one byte: what
// has come since stands in the action's log behind the other.
type copied struct {
	Remote int64 `json:"remote"` // bytes of the Pod's log
	Local  int64 `json:"local"`  // the size of the action's log then
}

// next is the record of the next run.
func (r *run) next() record {
	n := record{
		Run: r.record.Run + 1, Cluster: r.wanted.Cluster, Namespace: r.namespace(),
		Mark: rand.Text(), Token: rand.Text(), Log: copied{Local: sizeOf(r.build.LogFile)},
	}
	n.Pod = name(r.config.Owner, r.build, n.Run)
	for range r.build.Services {
		n.Passwords = append(n.Passwords, rand.Text())
	}
	return n
}

// hash is the build's key as a part of names and a label's value. Servers that
// share a cluster may have builds of the same key.
func hash(owner, key string) string {
	sum := sha256.Sum256([]byte(owner + "\x00" + key))
	return hex.EncodeToString(sum[:10])
}

func name(owner string, b build.Build, run int) string {
	name := "build-" + hash(owner, b.Key)
	if run > 1 {
		name += "-" + strconv.Itoa(run)
	}
	return name
}

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// buildFiles reads and writes the files of one build.
type buildFiles struct{ dir string }

// load reads the record, the zero one when there is none.
func (f buildFiles) load(into *record) error {
	_, err := f.read(recordFile, into)
	return err
}

// save writes the record, and only then it is the present one.
func (f buildFiles) save(present *record, next record) error {
	if err := f.write(recordFile, next); err != nil {
		return err
	}
	*present = next
	return nil
}

func (f buildFiles) result() (result, bool, error) {
	var r result
	ok, err := f.read(resultFile, &r)
	return r, ok, err
}

// result is how a build has ended.
type result runner.Result

func (r result) err() error {
	if r.Fault == "" {
		return nil
	}
	return errors.New(r.Fault)
}

func (f buildFiles) read(name string, into any) (bool, error) {
	return box.ReadRecord(f.dir, name, into)
}

func (f buildFiles) write(name string, what any) error {
	return box.WriteRecord(f.dir, name, what)
}
