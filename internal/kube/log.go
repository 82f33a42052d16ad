package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxLogLine is how much of one line FollowLog gives on, in bytes. The rest of
// a longer one is dropped.
const maxLogLine = 4 << 10

// FollowLog calls line for each line of a container's log as it is written,
// from the beginning, or from behind the moment after when that is not zero.
// It returns nil when the stream ends, which it does with the container, but
// also with a connection that is dropped: ask the container's status, and
// follow on from the last line's moment. Lines and Previous of the request
// mean nothing here.
func (c *Cluster) FollowLog(ctx context.Context, r LogRequest, after time.Time, line func(at time.Time, text string)) error {
	options := &corev1.PodLogOptions{Container: r.Container, Follow: true, Timestamps: true}
	if !after.IsZero() {
		options.SinceTime = &metav1.Time{Time: after}
	}
	stream, err := c.core.Pods(r.Namespace).GetLogs(r.Pod, options).Stream(ctx)
	if err != nil {
		return fmt.Errorf("follow the log of pod %s: %w", r.Pod, err)
	}
	defer stream.Close()
	err = eachLine(stream, func(text string) {
		stamp, text, _ := strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			at, text = after, stamp+" "+text
		} else if !at.After(after) {
			return // The API takes whole seconds only.
		}
		line(at, text)
	})
	if err != nil {
		return fmt.Errorf("follow the log of pod %s: %w", r.Pod, err)
	}
	return nil
}

// eachLine gives on the lines of a text, each without its end and cut to
// maxLogLine.
func eachLine(from io.Reader, line func(string)) error {
	reader := bufio.NewReader(from)
	var text strings.Builder
	for {
		part, more, err := reader.ReadLine()
		if room := maxLogLine - text.Len(); len(part) > room {
			part = part[:room]
		}
		text.Write(part)
		if err != nil {
			if text.Len() > 0 {
				line(text.String())
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if !more {
			line(text.String())
			text.Reset()
		}
	}
}
