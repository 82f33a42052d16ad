// Pods measures whether many other pods in the namespace slow down the wait for
// a rollout. It is a program of its own and stands outside of the flow.
//
//	go run ./bench/pods -others 5000
//
// No pod runs: the program says of the application's pods that they are ready,
// as a kubelet would, so that the wait is for the API server, its controllers
// and Towline alone. There is no Service, whose endpoints would need nodes. The
// last line is "ratio X": how many times as long the wait takes with the
// others, by the medians.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// nobody is the scheduler of all pods: there is none of that name, so that no
// node is bothered.
const nobody = "nobody"

func main() {
	others := flag.Int("others", 5000, "how many other pods there are")
	rounds := flag.Int("rounds", 7, "how many rollouts are waited for, without the others and with them")
	out := flag.String("out", "", "file that the result is written to, as Markdown")
	program.Main("pods", func(ctx context.Context) error { return run(ctx, *others, *rounds, *out) })
}

func run(ctx context.Context, others, rounds int, out string) (err error) {
	cluster, err := kube.Connect("", "")
	if err != nil {
		return err
	}
	namespace := "bench-pods-" + strings.ToLower(rand.Text()[:6])
	if _, err := cluster.EnsureNamespace(ctx, namespace); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, cluster.Delete(ctx, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}, ""))
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &bench{cluster: cluster, namespace: namespace}
	kubelet := b.kubelet(ctx)
	defer func() { cancel(); <-kubelet }()
	if _, err := b.rollout(ctx); err != nil { // the first one finds no pods to replace
		return err
	}
	alone, err := b.rollouts(ctx, rounds)
	if err != nil {
		return err
	}
	if err := b.crowd(ctx, others); err != nil {
		return err
	}
	crowded, err := b.rollouts(ctx, rounds)
	if err != nil {
		return err
	}
	ratio := crowded.Seconds() / alone.Seconds()
	fmt.Printf("wait for a rollout of %d pods: alone %s, beside %d others %s\n", replicas, alone.Round(time.Millisecond), others, crowded.Round(time.Millisecond))
	fmt.Printf("ratio %.2f\n", ratio)
	text := fmt.Sprintf("# A wait in a crowded namespace\n%s. The wait for a rollout of %d pods, median of %d (`make bench-pods`):\n\n| others in the namespace | wait |\n|--:|--:|\n| 0 | %s |\n| %d | %s |\n\nRatio %.2f; at most 2 is wanted.\n",
		time.Now().UTC().Format(time.DateOnly), replicas, rounds, alone.Round(time.Millisecond), others, crowded.Round(time.Millisecond), ratio)
	return program.Page(out, text)
}

const replicas = 3

// bench is a namespace with an application of which nothing runs.
type bench struct {
	cluster   *kube.Cluster
	namespace string
	version   int
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {schedulerName: %s, containers: [{name: web, image: example.com/web, env: [{name: VERSION, value: v%d}], readinessProbe: {tcpSocket: {port: 80}}}]}`

func (b *bench) object(document string) (*unstructured.Unstructured, error) {
	text, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return nil, err
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	object.SetNamespace(b.namespace)
	return &object, nil
}

func (b *bench) apply(ctx context.Context, document string) error {
	object, err := b.object(document)
	if err != nil {
		return err
	}
	_, err = b.cluster.Apply(ctx, object, kube.ApplyOptions{})
	return err
}

// rollouts is the median of several rollouts' times.
func (b *bench) rollouts(ctx context.Context, rounds int) (time.Duration, error) {
	var times []time.Duration
	for range rounds {
		took, err := b.rollout(ctx)
		if err != nil {
			return 0, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// rollout changes the application and waits until that is done.
func (b *bench) rollout(ctx context.Context) (time.Duration, error) {
	const atMost = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	b.version++
	object, err := b.object(fmt.Sprintf(deployment, replicas, nobody, b.version))
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	applied, err := b.cluster.Apply(ctx, object, kube.ApplyOptions{})
	if err != nil {
		return 0, err
	}
	waiter := &rollout.Waiter{Cluster: b.cluster, Log: runbook.New(nil, nil), Unschedulable: atMost}
	err = waiter.Wait(ctx, kube.RefOf(object), applied.GetGeneration())
	return time.Since(begin), err
}

// crowd makes that many other pods.
func (b *bench) crowd(ctx context.Context, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kube.Parallel)
	for i := range n {
		group.Go(func() error {
			return b.apply(ctx, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: other%d, labels: {app: other}}, spec: {schedulerName: %s, containers: [{name: other, image: example.com/other}]}}", i, nobody))
		})
	}
	return group.Wait()
}

// kubelet says of the application's pods that they are ready, until ctx ends;
// then the channel is closed.
func (b *bench) kubelet(ctx context.Context) <-chan struct{} {
	done, changed := make(chan struct{}), make(chan struct{}, 1)
	pods := b.cluster.FollowPods(ctx, kube.Scope{Namespace: b.namespace, Selector: "app=web", Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	go func() {
		defer close(done)
		seen := map[string]bool{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			var all sync.WaitGroup
			for _, pod := range pods.Items() {
				if pod.DeletionTimestamp == nil && !seen[string(pod.UID)] {
					seen[string(pod.UID)] = true
					address := fmt.Sprintf("10.1.%d.%d", len(seen)/250, 1+len(seen)%250)
					all.Go(func() { b.ready(ctx, pod, address) })
				}
			}
			all.Wait()
		}
	}()
	return done
}

// ready says of one pod that it is ready.
func (b *bench) ready(ctx context.Context, pod *corev1.Pod, address string) {
	now := metav1.Now().UTC().Format(time.RFC3339)
	condition := func(kind corev1.PodConditionType) map[string]any {
		return map[string]any{"type": string(kind), "status": "True", "lastTransitionTime": now}
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{
		"phase": string(corev1.PodRunning), "podIP": address, "podIPs": []any{map[string]any{"ip": address}},
		"conditions": []any{condition(corev1.PodReady), condition(corev1.ContainersReady), condition(corev1.PodScheduled)},
		"containerStatuses": []any{map[string]any{
			"name": "web", "ready": true, "started": true, "restartCount": int64(0), "image": "example.com/web", "imageID": "",
			"state": map[string]any{"running": map[string]any{"startedAt": now}},
		}},
	}}}
	object.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	object.SetNamespace(pod.Namespace)
	object.SetName(pod.Name)
	if _, err := b.cluster.Apply(ctx, object, kube.ApplyOptions{Force: true, Manager: "bench", Subresource: "status"}); err != nil && ctx.Err() == nil && !kube.IsNotFound(err) {
		fmt.Fprintln(os.Stderr, "say that a pod is ready:", err)
	}
}
