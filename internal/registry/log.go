package registry

import (
	"context"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// instanceKey is the context value that the inner registry puts into each line
// of its log, under the same name. It is a plain string because it looks for
// one.
const instanceKey = "instance.id"

// redirectLog leads the inner registry's log to ours. It writes to logrus'
// standard logger, the only one of the process, whatever it is given; so that
// logger is made silent, and each registry of the process listens there for
// the lines that carry its own id. The listener stays after Close, when no
// line carries the id any more: one hook alone cannot be taken off.
func (r *Registry) redirectLog(ctx context.Context) context.Context {
	logrus.SetOutput(io.Discard)
	logrus.SetFormatter(silent{})
	if r.log.Enabled(ctx, slog.LevelDebug) {
		logrus.AddHook(listener{id: r.id, log: r.log})
	}
	return r.named(ctx)
}

// named makes the log lines of a context this registry's.
func (r *Registry) named(ctx context.Context) context.Context {
	return context.WithValue(ctx, instanceKey, r.id) //nolint:staticcheck // see instanceKey
}

// listener hands lines of one registry on, at debug level: what distribution
// calls an error is mostly a client that asked for something unknown.
type listener struct {
	id  string
	log *slog.Logger
}

var _ logrus.Hook = listener{}

func (listener) Levels() []logrus.Level { return logrus.AllLevels }

func (l listener) Fire(e *logrus.Entry) error {
	if e.Data[instanceKey] != l.id {
		return nil
	}
	attrs := []slog.Attr{}
	for _, k := range []string{"http.request.method", "http.request.uri", "http.response.status", "err.code", "err.detail"} {
		if v, ok := e.Data[k]; ok {
			attrs = append(attrs, slog.Any(k, v))
		}
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, e.Message, attrs...)
	return nil
}

// silent spares the formatting of lines that nobody reads.
type silent struct{}

func (silent) Format(*logrus.Entry) ([]byte, error) { return nil, nil }
