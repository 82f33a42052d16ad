package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/kube"
)

// Program is a file with Towline in it, for nodes that cannot pull its image.
type Program struct {
	Path string
	// Architecture is that of the nodes which it runs on, as kubernetes.io/arch
	// has it.
	Architecture string
}

// receive is what the first container runs that is sent the program: it reads as
// many bytes as it is told, and the rest of the Pod begins when all have come.
const receive = `set -e
head -c "$1" > "$2.new"
[ "$(wc -c < "$2.new")" -eq "$1" ] || { echo "only a part of the program has come" >&2; exit 1; }
chmod 755 "$2.new"
mv "$2.new" "$2"`

// receiver is the container that takes this program and keeps it in the Pod: of
// the build's own image, since the nodes can pull that.
func (p plan) receiver() corev1.Container {
	c := p.tools()
	c.Image, c.Args = p.image, nil
	c.Command = []string{"sh", "-c", receive, "sh", strconv.FormatInt(p.program, 10), runner.Bin + "/towline"}
	c.Stdin, c.StdinOnce = true, true
	// The image's user may be any.
	c.SecurityContext.RunAsNonRoot = nil
	return c
}

// sendProgram sends the program to the Pod of the run once it waits for it, and
// returns when it needs it no more.
func (r *run) sendProgram(ctx context.Context, w *watcher) error {
	if r.config.Program == nil {
		return nil
	}
	select {
	case <-w.receives:
	case <-w.ready: // a server before this one has sent it
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.insist(ctx, func(ctx context.Context) error {
		select {
		case <-w.ready:
			return nil
		default:
		}
		file, err := os.Open(r.config.Program.Path)
		if err != nil {
			return final{fmt.Errorf("send this program: %w", err)}
		}
		defer file.Close()
		err = r.cluster.Attach(ctx, kube.AttachRequest{Namespace: r.record.Namespace, Pod: r.record.Pod, Container: toolsContainer}, file)
		// An end that comes while the rest is still sent: what matters is whether
		// the container has all, and that is seen at the Pod.
		if errors.Is(err, io.ErrClosedPipe) {
			return nil
		}
		return err
	})
}

// programSize is how many bytes the program has, 0 when none is sent.
func (c Config) programSize() (int64, error) {
	if c.Program == nil {
		return 0, nil
	}
	info, err := os.Stat(c.Program.Path)
	if err != nil {
		return 0, fmt.Errorf("send this program: %w", err)
	}
	return info.Size(), nil
}
