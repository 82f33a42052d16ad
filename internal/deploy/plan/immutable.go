package plan

import "fmt"

// Immutable brings a whole new set beside the old one, under the same Service,
// and then detaches the old one. Both serve for a while; no old pod is touched
// before the new set is whole.
const Immutable = "immutable"

// planImmutable begins with one new pod that serves beside the old ones, makes
// the set whole when that one does well, and then takes the old set out of the
// Service in one write. Where no selector means both sets the requests move at
// once, as in Blue/Green.
func planImmutable(s Situation) ([]Step, error) {
	if err := onlyDeployments(s); err != nil {
		return nil, err
	}
	c := newCutover(s)
	if s.Back {
		return c.back(), nil
	}
	if err := oneNamespace(s); err != nil {
		return nil, err
	}
	c.begin()
	if c.moved() || c.first() {
		return c.inPlace(), nil
	}
	together, staying := true, c.staying()
	for _, o := range staying {
		together = together && c.union(o) != nil
	}
	if together {
		for _, o := range staying {
			c.turn(o, c.liveSelector(o), c.union(o), "both sets may serve")
		}
		c.grow(1)
		c.whole()
		for _, o := range c.services {
			c.serving(o, SelectorOf(o.Unstructured), false, 0)
		}
	}
	c.grow(0)
	c.whole()
	if together {
		for _, o := range c.services {
			c.serving(o, SelectorOf(o.Unstructured), false, 0)
		}
		if c.Knobs.Analysis > 0 && c.Probe != "" {
			c.add(Step{Verb: VerbAnalyse, Time: c.Knobs.Analysis, Text: fmt.Sprintf("count requests to both sets for %s", c.Knobs.Analysis)})
		}
	}
	c.questions(false)
	c.match()
	c.shift()
	for _, o := range staying {
		from := c.liveSelector(o)
		if together {
			from = c.union(o)
		}
		c.turn(o, from, c.exact(o), "detach the old set")
	}
	c.finish()
	return c.steps, nil
}
