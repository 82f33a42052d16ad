package registry

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// faultGuard passes an answer on, but holds back one that says the server is
// at fault, so that another can be given in its place.
type faultGuard struct {
	http.ResponseWriter
	full    func() bool // tells whether the disk is, or was a moment ago
	started bool        // something went to the client
	gone    bool        // the client hung up in the middle
	fault   int         // status held back
	body    bytes.Buffer
}

// clientGone is the status with which the inner registry notes, for its log
// alone, that the client hung up.
const clientGone = 499

func (g *faultGuard) WriteHeader(status int) {
	// The inner registry overlooks that the last bytes of a chunk did not fit
	// and then finds the upload shorter than its client says.
	lost := status == http.StatusRequestedRangeNotSatisfiable && g.full()
	if status >= http.StatusInternalServerError || lost {
		g.fault = status
		return
	}
	g.started = true
	g.gone = status == clientGone
	g.ResponseWriter.WriteHeader(status)
}

func (g *faultGuard) Write(p []byte) (int, error) {
	if g.fault == 0 {
		g.started = true
		return g.ResponseWriter.Write(p)
	}
	if room := 4096 - g.body.Len(); room > 0 {
		g.body.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Unwrap lets http.ResponseController reach the connection.
func (g *faultGuard) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// diskFull tells whether a fault came from a full disk. The inner registry's
// detail has the system's words when it has any; where they were lost on the
// way, the file system itself is asked.
func (r *Registry) diskFull(detail string) bool {
	for _, err := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if strings.Contains(detail, err.Error()) {
			return true
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		return false
	}
	const least = 64 << 10 // bytes that any request needs
	return st.Bavail*uint64(st.Bsize) < least || (st.Files > 0 && st.Ffree == 0)
}

// wasFull tells whether the disk is full or was a moment ago: the first upload
// that fails frees what it took, before the others of its image have failed.
func (r *Registry) wasFull() bool {
	const moment = time.Minute
	return r.diskFull("") || time.Since(time.Unix(0, r.fullAt.Load())) < moment
}

// dropUpload removes what an upload has written, where distribution's file
// driver keeps it, for it would fill the disk. OCI would let a client that
// hung up go on later; none in use does.
func (r *Registry) dropUpload(ctx context.Context, to route) {
	if to.verb != upload {
		return
	}
	dir := filepath.Join("docker/registry/v2/repositories", to.repository, "_uploads", to.reference)
	root, err := os.OpenRoot(r.dir)
	if err == nil {
		err = errors.Join(root.RemoveAll(dir), root.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.ErrorContext(ctx, "remove a broken upload", "repository", to.repository, "error", err)
	}
}
