package kube

import (
	"sync"

	"k8s.io/klog/v2"
)

// silence is done once: klog's logger belongs to the whole process and may not
// be set while something logs.
var silence sync.Once

// SilenceLibraries keeps client-go from writing to standard error by itself:
// whatever it has to say comes back as an error too, in words for people. It is
// for the whole process. Whatever makes a Cluster calls it, so that no program
// can forget it; main calls it before anything else, since reading a kubeconfig
// may log too.
func SilenceLibraries() {
	silence.Do(func() { klog.SetLoggerWithOptions(klog.Logger{}, klog.ContextualLogger(true)) })
}
