package pipeline

import "errors"

// ErrShutdown is the cause of a context that ends because the server stops,
// not because somebody wants the work to end. An action that sees it leaves
// running what can run on without the server and returns the context's error;
// the same job is given to it again after the restart.
var ErrShutdown = errors.New("the server is shutting down")

// ErrAbandoned is the cause of a context that ends because somebody has given
// the work up: nobody waits for its outcome. An action that sees it ends what
// it has started, as for any cause but ErrShutdown.
var ErrAbandoned = errors.New("the execution was abandoned")
