package kube

import "context"

type warningKey struct{}

// WithWarnings returns a context under which the API server's warnings (such
// as "would violate PodSecurity") are given to hear, which must be safe for
// concurrent use. Without it they are dropped.
func WithWarnings(ctx context.Context, hear func(text string)) context.Context {
	return context.WithValue(ctx, warningKey{}, hear)
}

// warnings is the rest.WarningHandlerWithContext that finds the listener of
// the request's own context, so that one cluster can serve many deployments.
type warnings struct{}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	const miscellaneous = 299 // the only code that the API server sends
	if hear, ok := ctx.Value(warningKey{}).(func(string)); ok && code == miscellaneous && text != "" {
		hear(text)
	}
}
