// Package manifest is about Kubernetes manifests as data: files of the source
// in, objects out, and the changes that a deployment makes to them before any
// of them meets a cluster (images by digest, namespaces, the fields without
// which a rollout loses requests).
//
// The flow, all of it pure but for reading the files:
//
//	Load, LoadWith or LoadChart -> SetImages -> SetNamespace -> SetSurge ->
//	Complete -> FreezeConfigs -> NameJobs -> Hooks -> Sort -> Encode
//
// The functions that change objects do so in place, unless they say otherwise,
// and return what they changed, so that it can be logged; those that return an
// error have then changed nothing. The room knows no cluster, no client and no
// journal: what the API server thinks of an object is for others to find out,
// and Source is how they say which line to mend.
package manifest
