// Package webtest is the manifest of the application that tests and benches
// deploy. Its program is in internal/deploy/testdata/web, and imagetest makes
// the image. It knows no cluster.
package webtest

import (
	"fmt"
	"strings"
)

// Deployment is the application's Deployment web, whose pods are labelled
// app=web and listen on port 8080, which is named http. Lines of env are
// NAME=VALUE. The text ends within the one container, so that more of its
// fields, such as Ready, can be written behind it.
func Deployment(image string, replicas int, env ...string) string {
	var vars strings.Builder
	for _, e := range env {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&vars, "        - {name: %s, value: %q}\n", key, value)
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: %s
        ports: [{name: http, containerPort: 8080}]
        env:
%s`, replicas, image, vars.String())
}

// Ready is the readiness probe that an application should have.
const Ready = "        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}\n"
