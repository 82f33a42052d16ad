package localkube

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Status is a cluster as it stands.
type Status struct {
	Name string `json:"name"`
	// Up is whether the cluster was brought up, and Healthy whether all of it
	// works now.
	Up         bool        `json:"up"`
	Healthy    bool        `json:"healthy"`
	Supervisor int         `json:"supervisor,omitempty"` // process ID; 0 if none runs
	Kubeconfig string      `json:"kubeconfig,omitempty"`
	Server     string      `json:"server,omitempty"` // URL of the API server
	Host       string      `json:"host,omitempty"`   // this machine's address on the cluster's network
	Nodes      []Node      `json:"nodes,omitempty"`
	Components []Component `json:"components,omitempty"`
	// Problems say what is wrong and how to mend it, one sentence each.
	Problems []string `json:"problems,omitempty"`
}

// Node is one node as it stands.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Ready   bool   `json:"ready"`
}

// Status looks at the cluster. A cluster that is not up is no error.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	status := Status{Name: c.config.Name}
	s, err := c.readState()
	if errors.Is(err, ErrNotUp) {
		return status, nil
	}
	if err != nil {
		return status, err
	}
	l := newLayout(s.Slot)
	status.Up, status.Kubeconfig, status.Server, status.Host = true, c.Kubeconfig(), l.apiServer(), l.host().String()
	problem := func(text string) { status.Problems = append(status.Problems, text) }
	r, alive := c.supervisor()
	if alive {
		status.Supervisor = r.PID
		status.Components = r.Components
	} else {
		problem("the supervisor does not run; run towline cluster up")
	}
	if r.Fault != "" {
		problem(r.Fault)
	}
	for _, component := range status.Components {
		if component.PID == 0 {
			problem(component.Name + " does not run (" + component.Exit + "); see " + component.Log)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	known, err := c.listNodes(ctx, l)
	if err != nil {
		problem("the API server does not answer: " + err.Error())
	}
	for n := 1; n <= s.Nodes; n++ {
		node := Node{Name: nodeName(n), Address: l.node(n).String()}
		if i := slices.IndexFunc(known, func(o nodeObject) bool { return o.Metadata.Name == node.Name }); i >= 0 {
			node.Ready = known[i].notReady(time.Time{}) == ""
		}
		if !node.Ready {
			problem(node.Name + " is not ready")
		}
		status.Nodes = append(status.Nodes, node)
	}
	status.Healthy = len(status.Problems) == 0
	return status, nil
}

func (c *Cluster) listNodes(ctx context.Context, l layout) ([]nodeObject, error) {
	a, err := c.paths.api(l)
	if err != nil {
		return nil, err
	}
	defer a.close()
	return a.nodes(ctx)
}
