package kube

import "k8s.io/klog/v2"

// SilenceLibraries keeps client-go from writing to standard error by itself:
// whatever it has to say comes back as an error too, in words for people. It is
// for the whole program, so main calls it once, before anything else.
func SilenceLibraries() {
	klog.SetLoggerWithOptions(klog.Logger{}, klog.ContextualLogger(true))
}
