package template

// decision is what has become of a condition. One that is not known does not
// hold.
type decision struct{ holds, known bool }

// condition decides a condition by its name.
func (e *evaluator) condition(name string, c call) decision {
	if d, ok := e.decided[name]; ok {
		return d
	}
	n := e.template.root.get("Conditions").get(name)
	if n == nil {
		panic(c.bad("the template has no condition %q", name))
	}
	if e.deciding[name] {
		panic(n.problem("", "condition %q depends on itself", name))
	}
	e.deciding[name] = true
	d := e.decide(n, call{n: n, argument: n, path: "Conditions." + name, depth: c.depth + 1})
	delete(e.deciding, name)
	e.decided[name] = d
	return d
}

// decide decides a condition function.
func (e *evaluator) decide(n *node, c call) decision {
	e.spend(n, 0)
	if c.depth > maxDepth {
		panic(n.problem("", "conditions are nested more than %d deep", maxDepth))
	}
	if n.kind != mapping || len(n.keys) != 1 {
		panic(n.problem("use Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition", "this is not a condition"))
	}
	inner := call{n: n, argument: n.values[n.keys[0]], path: c.path, depth: c.depth + 1}
	switch n.keys[0] {
	case "Condition":
		return e.condition(inner.argument.textOr(""), inner)
	case "Fn::Equals":
		return e.equals(inner)
	case "Fn::Not":
		d := e.decide(inner.arguments(1, 1)[0], inner)
		return decision{holds: d.known && !d.holds, known: d.known}
	case "Fn::And", "Fn::Or":
		return e.several(inner, n.keys[0] == "Fn::Or")
	}
	panic(n.problem("use Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition", "%s is not a condition", expression(n)))
}

// several decides Fn::And and Fn::Or. One part that settles it is enough, also
// when others are not known.
func (e *evaluator) several(c call, or bool) decision {
	out := decision{holds: !or, known: true}
	const most = 10 // as CloudFormation has it
	for _, part := range c.arguments(1, most) {
		switch d := e.decide(part, c); {
		case d.known && d.holds == or:
			return decision{holds: or, known: true}
		case !d.known:
			out.known = false
		}
	}
	if !out.known {
		out.holds = false
	}
	return out
}

func (e *evaluator) equals(c call) decision {
	args := c.arguments(2, 2)
	before := len(e.unresolved)
	left, right := e.text(c, args[0]), e.text(c, args[1])
	known := len(e.unresolved) == before
	return decision{holds: known && left == right, known: known}
}
