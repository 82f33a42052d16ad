package cli

import "io"

// written is standard output that remembers the first write that did not go
// through. A disk that is full must not look like a result: whoever reads the
// file would have half of it and an exit code of 0.
type written struct {
	to  io.Writer
	err error
}

func (w *written) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}
