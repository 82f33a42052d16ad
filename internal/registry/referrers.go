package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// descriptor is OCI's content descriptor.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// referrers is the index of which manifests (signatures, SBOMs) name another
// one as their subject. It is a directory of files,
//
//	REPOSITORY/_subjects/SUBJECT/REFERRER.json
//
// each a descriptor: no repository has a part that begins with _, each change
// is one rename, and nothing has to be loaded at start.
type referrers struct {
	mu   sync.Mutex // for writers
	root *os.Root
}

func openReferrers(dir string) (*referrers, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &referrers{root: root}, nil
}

// subjectDir is where the referrers of a manifest are. All three parts were
// checked against their forms before.
func subjectDir(repository, subject string) string {
	return path.Join(repository, "_subjects", strings.ReplaceAll(subject, ":", "-"))
}

func referrerFile(repository, subject, referrer string) string {
	return path.Join(subjectDir(repository, subject), strings.ReplaceAll(referrer, ":", "-")+".json")
}

// add records that a manifest refers to a subject, which need not exist yet.
func (x *referrers) add(repository, subject string, d descriptor) error {
	body, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("record referrer: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.root.MkdirAll(subjectDir(repository, subject), 0o700); err != nil {
		return fmt.Errorf("record referrer: %w", err)
	}
	name := referrerFile(repository, subject, d.Digest)
	if err := x.replace(name, body); err != nil {
		return fmt.Errorf("record referrer: %w", err)
	}
	return nil
}

// replace writes a file whole or not at all, and so that a power cut does not
// undo it.
func (x *referrers) replace(name string, body []byte) (err error) {
	temp := name + ".tmp"
	f, err := x.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = x.root.Remove(temp) // gone already when the rename was done
		}
	}()
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := x.root.Rename(temp, name); err != nil {
		return err
	}
	dir, err := x.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remove forgets a referrer.
func (x *referrers) remove(repository, subject, referrer string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.root.Remove(referrerFile(repository, subject, referrer))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget referrer: %w", err)
	}
	return nil
}

// list returns the referrers of a manifest in the order of their digests.
func (x *referrers) list(repository, subject string) ([]descriptor, error) {
	dir := subjectDir(repository, subject)
	entries, err := fs.ReadDir(x.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return []descriptor{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list referrers: %w", err)
	}
	found := make([]descriptor, 0, len(entries))
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		body, err := x.root.ReadFile(path.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		var d descriptor
		if err := errors.Join(err, json.Unmarshal(body, &d)); err != nil {
			return nil, fmt.Errorf("list referrers: %s: %w", e.Name(), err)
		}
		found = append(found, d)
	}
	return found, nil
}
