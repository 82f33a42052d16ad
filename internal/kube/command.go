package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ApplyCommand is the request that Apply sends, for the log. guarded tells that
// the object carries the resourceVersion that it must still have.
func (c *Cluster) ApplyCommand(ref Ref, options ApplyOptions, guarded bool) string {
	query := ""
	if options.DryRun {
		query += "&dryRun=All"
	}
	if options.Force {
		query += "&force=true"
	}
	manager := FieldManager
	if options.Manager != "" {
		manager = options.Manager
	}
	text := http.MethodPatch + " " + c.Path(ref) + "?fieldManager=" + url.QueryEscape(manager) + query
	if guarded {
		text += Guarded
	}
	return text
}

// Guarded is what the log adds to a write that only succeeds while the object
// is as it was read. It is a comment to a shell.
const Guarded = " # guarded by metadata.resourceVersion"

// CreateCommand is the request that Create sends, for the log.
func (c *Cluster) CreateCommand(ref Ref) string {
	ref.Name = ""
	return http.MethodPost + " " + c.Path(ref) + "?fieldManager=" + FieldManager
}

// ScaleCommand is the request that Scale sends, for the log.
func (c *Cluster) ScaleCommand(ref Ref, replicas int) string {
	return fmt.Sprintf("%s %s/scale?fieldManager=%s %s%s", http.MethodPatch, c.Path(ref), FieldManager, ScalePatch(replicas, Guard{}), Guarded)
}

// DeleteCommand is the request that Delete sends, for the log.
func (c *Cluster) DeleteCommand(ref Ref, uid types.UID) string {
	return http.MethodDelete + " " + c.Path(ref) + " " + DeleteBody(uid)
}

// DeleteBody is what Delete sends: the deletion options as JSON. Without a uid
// nothing guards the deletion.
func DeleteBody(uid types.UID) string {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}, PropagationPolicy: &background}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	text, err := json.Marshal(options)
	if err != nil {
		panic(fmt.Sprintf("encode strings: %v", err))
	}
	return string(text)
}

// Path is the URL path of an object, or of its kind when it has no name. Of a
// kind that the cluster does not know yet, the plural is guessed, as kubectl
// guesses it.
func (c *Cluster) Path(ref Ref) string {
	served, err := c.Resource(ref.GVK())
	if err != nil {
		served.GVR, _ = meta.UnsafeGuessKindToResource(ref.GVK())
		served.Namespaced = ref.Namespace != ""
	}
	return served.Path(ref.Namespace, ref.Name)
}
