package deploy

import (
	"fmt"
	"testing"

	"github.com/towline/towline/internal/kube/kubetest"
)

// BenchmarkDeploy60Objects is a whole deployment of 60 objects without pods
// and without a prober: what the deployer and the API server take by
// themselves. "changed" writes every object anew, "unchanged" none.
func BenchmarkDeploy60Objects(b *testing.B) {
	for _, name := range []string{"changed", "unchanged"} {
		b.Run(name, func(b *testing.B) {
			cluster := kubetest.Connect(b)
			bundle := &bundle{cluster: cluster, namespace: kubetest.Namespace(b, cluster), root: b.TempDir(), config: Config{Cluster: cluster}}
			request := bundle.request()
			request.Log, request.Verify.Off = nil, true
			round := 0
			write := func() {
				var documents []string
				for n := range 20 {
					documents = append(documents,
						fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\ndata: {round: \"%d\"}\n", n, round),
						fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: w%d, round: r%d}, ports: [{port: 80}]}\n", n, n, round),
						fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, labels: {round: r%d}}\nspec: {replicas: 0, selector: {matchLabels: {app: w%d}}, template: {metadata: {labels: {app: w%d}}, spec: {containers: [{name: web, image: x}]}}}\n", n, round, n, n))
				}
				bundle.write(b, documents...)
			}
			write()
			bundle.deployWell(b, request)
			b.ResetTimer()
			for b.Loop() {
				if name == "changed" {
					round++
					write()
				}
				bundle.deployWell(b, request)
			}
		})
	}
}

// BenchmarkOverhead is a whole deployment of one Deployment without pods: the
// deployer's own part of any deployment, without the prober's windows.
func BenchmarkOverhead(b *testing.B) {
	cluster := kubetest.Connect(b)
	bundle := &bundle{cluster: cluster, namespace: kubetest.Namespace(b, cluster), root: b.TempDir(), config: Config{Cluster: cluster}}
	request := bundle.request()
	request.Log, request.Verify.Off = nil, true
	round := 0
	for b.Loop() {
		round++
		bundle.write(b, fmt.Sprintf(noPods, round))
		bundle.deployWell(b, request)
	}
}
