// Apply measures how fast many objects are brought to a cluster: by Towline
// and by `kubectl apply --server-side`, with the same files, in turn, in one
// run. It is a program of its own and stands outside of the flow.
//
//	go run ./bench/apply -rounds 3
//
// Each round takes new namespaces and applies the files to each twice: when all
// is new and when nothing has changed. Beside the two programs it measures the
// floor: the bare server-side applies, at once and with nothing around them. The
// last line is "ratio X": how many times as long kubectl took when all was new,
// by the medians of the rounds.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// settings are the command line.
type settings struct {
	objects int
	rounds  int
	kubectl string
	towline string
	out     string
	keep    bool
}

func main() {
	var s settings
	flag.IntVar(&s.objects, "objects", 1000, "how many objects: half of them ConfigMaps, a quarter Services, a quarter Deployments at 0 replicas")
	flag.IntVar(&s.rounds, "rounds", 3, "how often everything is measured")
	flag.StringVar(&s.kubectl, "kubectl", "", "kubectl program, default the local cluster's, else the one on the PATH")
	flag.StringVar(&s.towline, "towline", "bin/towline", "towline program")
	flag.StringVar(&s.out, "out", "", "file that the result is written to, as Markdown")
	flag.BoolVar(&s.keep, "keep", false, "leave the namespaces there")
	program.Main("apply", func(ctx context.Context) error { return run(ctx, s) })
}

// way is one way of applying the files to a namespace, and what was measured of
// it.
type way struct {
	name             string
	apply            func(ctx context.Context, namespace string) (sample, error)
	fresh, unchanged []sample
}

func run(ctx context.Context, s settings) error {
	cluster, err := kube.Connect("", "")
	if err != nil {
		return err
	}
	if s.towline, err = filepath.Abs(s.towline); err != nil {
		return err
	}
	if s.kubectl == "" {
		s.kubectl = kubectlOf(cluster)
	}
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeObjects(filepath.Join(dir, "k8s", "objects.yaml"), s.objects); err != nil {
		return err
	}
	m := newMeter(ctx, cluster)
	ways := []*way{
		{name: "kubectl", apply: func(ctx context.Context, namespace string) (sample, error) {
			return m.command(exec.CommandContext(ctx, s.kubectl, "apply", "--server-side", "-n", namespace, "-f", filepath.Join(dir, "k8s")))
		}},
		{name: "towline", apply: func(ctx context.Context, namespace string) (sample, error) {
			cmd := exec.CommandContext(ctx, s.towline, "deploy", "--app", "bench", "--namespace", namespace, "-f", "k8s", "--no-verify")
			cmd.Dir = dir // of no repository: the revision has no commit
			return m.command(cmd)
		}},
		{name: "floor", apply: func(ctx context.Context, namespace string) (sample, error) {
			return floor(ctx, m, cluster, dir, namespace)
		}},
	}
	for round := range s.rounds {
		for _, w := range ways {
			if err := measure(ctx, cluster, s, w); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			fmt.Printf("round %d  %-8s %d new objects %6.2f s   unchanged %6.2f s\n", round+1, w.name, s.objects, w.fresh[round].seconds, w.unchanged[round].seconds)
		}
	}
	return report(s, m.load, ways)
}

// kubectlOf is a kubectl of the cluster's own version when it is a local one,
// whose context has its name.
func kubectlOf(cluster *kube.Cluster) string {
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err != nil {
		return "kubectl"
	}
	path, err := local.Kubectl()
	if err != nil {
		return "kubectl"
	}
	return path
}

// measure applies the objects twice to a namespace of its own.
func measure(ctx context.Context, cluster *kube.Cluster, s settings, w *way) (err error) {
	namespace := "bench-apply-" + strings.ToLower(rand.Text()[:6])
	if _, err := cluster.EnsureNamespace(ctx, namespace); err != nil {
		return err
	}
	if !s.keep {
		defer func() { err = errors.Join(err, remove(ctx, cluster, namespace)) }()
	}
	for _, list := range []*[]sample{&w.fresh, &w.unchanged} {
		measured, err := w.apply(ctx, namespace)
		if err != nil {
			return err
		}
		*list = append(*list, measured)
	}
	return nil
}

// remove deletes a namespace and waits until it is gone, so that the cluster
// is as idle for the next measurement as it was for this one.
func remove(ctx context.Context, cluster *kube.Cluster, namespace string) error {
	const atMost = 5 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atMost)
	defer cancel()
	ref := kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}
	if err := cluster.Delete(ctx, ref, ""); err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := cluster.Get(ctx, ref)
		if kube.IsNotFound(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("namespace %s is not gone within %s: %w", namespace, atMost, cmp.Or(err, context.Cause(ctx)))
		case <-tick.C:
		}
	}
}

// writeObjects writes all objects to one file.
func writeObjects(path string, n int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var text strings.Builder
	for i := range n {
		switch i % 4 {
		case 0, 1:
			writeConfigMap(&text, i)
		case 2:
			fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata: {name: s%[1]d, labels: {app: w%[2]d}}\nspec:\n  selector: {app: w%[2]d}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\n", i, i+1)
		case 3:
			writeDeployment(&text, i)
		}
	}
	return os.WriteFile(path, []byte(text.String()), 0o600)
}

func writeConfigMap(w io.Writer, i int) {
	fmt.Fprintf(w, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%[1]d, labels: {app: w%[1]d}}\ndata:\n", i)
	for line := range 10 {
		fmt.Fprintf(w, "  setting-%d: value number %d of object %d\n", line, line, i)
	}
	fmt.Fprintln(w, "---")
}

func writeDeployment(w io.Writer, i int) {
	fmt.Fprintf(w, `apiVersion: apps/v1
kind: Deployment
metadata: {name: d%[1]d, labels: {app: w%[1]d}}
spec:
  replicas: 0
  selector: {matchLabels: {app: w%[1]d}}
  template:
    metadata: {labels: {app: w%[1]d}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web@sha256:%064[1]d
        ports: [{containerPort: 8080}]
        env: [{name: NUMBER, value: "%[1]d"}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}}
        resources: {requests: {cpu: 50m, memory: 64Mi}}
---
`, i)
}
