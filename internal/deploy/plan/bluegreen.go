package plan

import (
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

// BlueGreen brings a whole new set that gets no request until it is promoted.
// A preview Service shows it meanwhile.
const BlueGreen = "blue-green"

// planBlueGreen makes green whole, asks all questions of it, and then moves the
// requests by one write of each Service's selector; blue stays whole for a
// while, so that going back is one write as well.
func planBlueGreen(s Situation) ([]Step, error) {
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
	from := map[string]map[string]string{} // what each Service selects when green is made
	staying := c.staying()
	for _, o := range staying {
		if c.shared(o) {
			from[manifest.Ref(o.Unstructured)] = c.liveSelector(o)
			continue
		}
		selector, ok := c.pinned(o)
		if !ok && !c.first() && !c.moved() {
			return nil, refusal.New("%s%s selects the pods of the new set as well (%s), and the old ones have no label that tells them apart: they would get requests before they are promoted. "+
				"Wait until the rollout of the old ones has ended, or deploy once with strategy immutable", At(o), manifest.Ref(o.Unstructured), SelectorText(c.liveSelector(o)))
		}
		from[manifest.Ref(o.Unstructured)] = selector
	}
	c.begin()
	if c.moved() || c.first() {
		return c.inPlace(), nil
	}
	for _, o := range staying {
		c.turn(o, c.liveSelector(o), from[manifest.Ref(o.Unstructured)], "keep the new pods out until they are promoted")
	}
	c.grow(0)
	c.whole()
	for _, o := range previews(s) {
		c.serving(o, SelectorOf(o.Unstructured), true, 0)
	}
	c.questions(false)
	c.match()
	c.shift()
	for _, o := range staying {
		blue := from[manifest.Ref(o.Unstructured)]
		if both := c.union(o); c.Knobs.Union && both != nil {
			c.turn(o, blue, both, "both sets serve while load balancers take the new pods in")
			c.serving(o, SelectorOf(o.Unstructured), false, c.Knobs.Propagation)
			blue = both
		}
		c.turn(o, blue, c.exact(o), "promote")
	}
	c.finish()
	return c.steps, nil
}

// previews are the desired preview Services.
func previews(s Situation) []manifest.Object {
	var found []manifest.Object
	for _, o := range manifest.Services(s.Desired) {
		if o.GetLabels()[PreviewLabel] != "" {
			found = append(found, o)
		}
	}
	return found
}
