// Package renderer renders Helm charts in a process of their own.
//
// A template can call itself until no memory is left, and nothing in the
// process that runs it can stop that. So the process is this program once more,
// with limits of memory and time that it gives itself, without environment, and
// told what to render on its standard input. What it does there is
// manifest.LoadChart; the deployer sees the same objects, changes and errors.
package renderer
