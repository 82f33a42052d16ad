package manifest

import (
	"fmt"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxExpanded is how many values the aliases of one document may add. No
// object that the API server accepts comes near it.
const maxExpanded = 100_000

// limitAliases refuses documents whose aliases lead in a circle, or stand for
// so much that writing it out would take the memory of the server.
func (d *document) limitAliases() error {
	root, err := d.parseNodes()
	if err != nil {
		return d.syntaxError(err)
	}
	if root == nil {
		return nil
	}
	e := expansion{size: map[*kyaml.Node]int{}, open: map[*kyaml.Node]bool{}}
	e.of(root)
	if e.circle != nil {
		return d.errorFor(e.circle, fmt.Sprintf("alias *%s stands for something that contains it", e.circle.Value), "")
	}
	if e.added > maxExpanded {
		return d.errorFor(nil, fmt.Sprintf("the aliases stand for more than %d values", maxExpanded), "write them out where they are needed")
	}
	return nil
}

// expansion counts the values of nodes as if the aliases were written out.
type expansion struct {
	size   map[*kyaml.Node]int // of the targets of aliases
	open   map[*kyaml.Node]bool
	added  int // by aliases, never more than a little over the limit
	circle *kyaml.Node
}

func (e *expansion) of(n *kyaml.Node) int {
	if n.Kind == kyaml.AliasNode {
		return e.ofAlias(n)
	}
	e.open[n] = true
	size := 1
	for _, c := range n.Content {
		size = min(size+e.of(c), maxExpanded+1)
	}
	delete(e.open, n)
	return size
}

func (e *expansion) ofAlias(n *kyaml.Node) int {
	if n.Alias == nil || e.open[n.Alias] {
		e.circle = n
		return 1
	}
	size, ok := e.size[n.Alias]
	if !ok {
		size = e.of(n.Alias)
		e.size[n.Alias] = size
	}
	e.added = min(e.added+size, maxExpanded+1)
	return size
}
