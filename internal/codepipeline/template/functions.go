package template

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// call is one use of an intrinsic function.
type call struct {
	n        *node // the whole, such as {Ref: a}
	argument *node
	path     string
	depth    int
}

// function evaluates an intrinsic function by its long name, ok false when
// there is none of that name.
func (e *evaluator) function(name string, c call) (v Value, ok bool) {
	switch name {
	case "Ref":
		return e.ref(c), true
	case "Fn::Sub":
		return e.sub(c), true
	case "Fn::GetAtt":
		return e.getAtt(c), true
	case "Fn::Join":
		return e.join(c), true
	case "Fn::Split":
		return e.split(c), true
	case "Fn::Select":
		return e.selected(c), true
	case "Fn::FindInMap":
		return e.findInMap(c), true
	case "Fn::If":
		return e.choose(c), true
	case "Fn::Base64":
		return e.base64(c), true
	case "Fn::ImportValue":
		return e.importValue(c), true
	}
	if strings.HasPrefix(name, "Fn::") {
		return e.unknown(c.n, c.path, "", "Towline does not evaluate this function"), true
	}
	return nil, false
}

// bad is a use of a function that CloudFormation would refuse.
func (c call) bad(format string, args ...any) *Problem {
	return c.n.problem("", "%s: %s", expression(c.n), fmt.Sprintf(format, args...))
}

// arguments are the elements of a list of so many arguments.
func (c call) arguments(least, most int) []*node {
	if c.argument.kind != sequence || len(c.argument.items) < least || len(c.argument.items) > most {
		wanted := strconv.Itoa(least)
		if most > least {
			wanted += " or more"
		}
		panic(c.bad("it takes a list of %s arguments", wanted))
	}
	return c.argument.items
}

// evaluated is the value of an argument.
func (e *evaluator) evaluated(c call, n *node) Value { return e.value(n, c.path, c.depth) }

// text is the text of an argument, which must be a scalar.
func (e *evaluator) text(c call, n *node) string {
	v := e.evaluated(c, n)
	text, ok := TextOf(v)
	if !ok && v != nil {
		panic(c.bad("text is wanted, not a list or an object"))
	}
	return text
}

func (e *evaluator) ref(c call) Value {
	if c.argument.kind != scalar {
		panic(c.bad("it takes a name"))
	}
	return e.named(c, c.argument.text)
}

// named is the value of a parameter, a pseudo parameter or a resource.
func (e *evaluator) named(c call, name string) Value {
	if name == "AWS::NoValue" {
		return nil
	}
	if v, ok := e.parameters[name]; ok {
		if text, ok := TextOf(v); ok {
			e.spend(c.n, len(text))
		}
		return v
	}
	switch {
	case strings.HasPrefix(name, "AWS::"):
		return e.unknown(c.n, c.path, name, "it depends on the account; give --parameter "+name+"=VALUE")
	case e.template.root.get("Parameters").get(name) != nil:
		return e.unknown(c.n, c.path, name, "the parameter has no value; give --parameter "+name+"=VALUE")
	}
	resource := e.template.root.get("Resources").get(name)
	if resource == nil {
		return e.unknown(c.n, c.path, name, "the template has neither a parameter nor a resource of that name")
	}
	if v := e.physicalName(c, resource); v != nil {
		return v
	}
	return e.unknown(c.n, c.path, name, "AWS chooses the name of the resource")
}

// nameProperties are the properties that name a resource, where Ref is that
// name.
var nameProperties = map[string]string{
	"AWS::S3::Bucket": "BucketName", "AWS::CodeBuild::Project": "Name", "AWS::IAM::Role": "RoleName", "AWS::Lambda::Function": "FunctionName",
	"AWS::Serverless::Function": "FunctionName", "AWS::ECR::Repository": "RepositoryName", "AWS::ECS::Cluster": "ClusterName", "AWS::EKS::Cluster": "Name",
	"AWS::CodeDeploy::Application": "ApplicationName", "AWS::CodeDeploy::DeploymentGroup": "DeploymentGroupName", "AWS::CodePipeline::Pipeline": "Name",
}

// physicalName is the name that the template gives a resource, nil when it
// gives none or one that cannot be known.
func (e *evaluator) physicalName(c call, resource *node) Value {
	property, ok := nameProperties[resource.get("Type").textOr("")]
	if !ok {
		return nil
	}
	name := resource.get("Properties").get(property)
	if name == nil {
		return nil
	}
	before := len(e.unresolved)
	v := e.evaluated(c, name)
	if _, ok := TextOf(v); !ok || len(e.unresolved) > before {
		e.unresolved = e.unresolved[:before]
		return nil
	}
	return v
}

func (e *evaluator) getAtt(c call) Value {
	var name string
	switch c.argument.kind {
	case scalar:
		name = c.argument.text
	default:
		var parts []string
		for _, part := range c.arguments(2, 2) {
			parts = append(parts, e.text(c, part))
		}
		name = strings.Join(parts, ".")
	}
	return e.attribute(c, name)
}

// attribute is an attribute of a resource. Names that the template gives are
// known, all else is AWS's to say.
func (e *evaluator) attribute(c call, name string) Value {
	logical, attribute, _ := strings.Cut(name, ".")
	resource := e.template.root.get("Resources").get(logical)
	if resource == nil {
		return e.unknown(c.n, c.path, name, "the template has no resource of that name")
	}
	if typ := resource.get("Type").textOr(""); typ == "AWS::CodeCommit::Repository" && attribute == "Name" {
		if n := resource.get("Properties").get("RepositoryName"); n != nil {
			return e.evaluated(c, n)
		}
	}
	return e.unknown(c.n, c.path, name, "only AWS knows the attribute, once it has made the resource")
}

func (e *evaluator) join(c call) Value {
	args := c.arguments(2, 2)
	list, ok := e.evaluated(c, args[1]).(List)
	if !ok {
		return e.unknown(c.n, c.path, "", "its list cannot be known")
	}
	var parts []string
	for _, v := range list {
		text, ok := TextOf(v)
		if !ok {
			panic(c.bad("its list holds something else than text"))
		}
		parts = append(parts, text)
	}
	joined := strings.Join(parts, e.text(c, args[0]))
	e.spend(c.n, len(joined))
	return Text(joined)
}

func (e *evaluator) split(c call) Value {
	args := c.arguments(2, 2)
	separator := e.text(c, args[0])
	if separator == "" {
		panic(c.bad("it splits at nothing"))
	}
	list := List{}
	for part := range strings.SplitSeq(e.text(c, args[1]), separator) {
		e.spend(c.n, len(part))
		list = append(list, Text(part))
	}
	return list
}

func (e *evaluator) selected(c call) Value {
	args := c.arguments(2, 2)
	index, err := strconv.Atoi(e.text(c, args[0]))
	if err != nil {
		return e.unknown(c.n, c.path, "", "its index cannot be known")
	}
	list, ok := e.evaluated(c, args[1]).(List)
	if !ok {
		return e.unknown(c.n, c.path, "", "its list cannot be known")
	}
	if index < 0 || index >= len(list) {
		return e.unknown(c.n, c.path, "", fmt.Sprintf("its list has %d elements, as far as they are known", len(list)))
	}
	return list[index]
}

func (e *evaluator) findInMap(c call) Value {
	args := c.arguments(3, 4)
	var keys []string
	before := len(e.unresolved)
	for _, arg := range args[:3] {
		keys = append(keys, e.text(c, arg))
	}
	found := e.template.root.get("Mappings").get(keys[0]).get(keys[1]).get(keys[2])
	switch {
	case found != nil:
		return e.evaluated(c, found)
	case len(args) == 4 && args[3].get("DefaultValue") != nil:
		return e.evaluated(c, args[3].get("DefaultValue"))
	case len(e.unresolved) > before:
		return e.unknown(c.n, c.path, "FindInMap "+keys[0]+"."+strings.Trim(keys[1], "${}")+"."+strings.Trim(keys[2], "${}"), "its keys are not known")
	}
	panic(c.bad("there is no %s in the mappings", strings.Join(keys, ".")))
}

func (e *evaluator) choose(c call) Value {
	args := c.arguments(3, 3)
	if args[0].kind != scalar {
		panic(c.bad("it takes the name of a condition"))
	}
	d := e.condition(args[0].text, c)
	if !d.known {
		e.note(c.n, c.path, expression(c.n), "", fmt.Sprintf("condition %s depends on what is not known; it was taken for false", args[0].text))
	}
	if d.holds {
		return e.evaluated(c, args[1])
	}
	return e.evaluated(c, args[2])
}

func (e *evaluator) base64(c call) Value {
	return Text(base64.StdEncoding.EncodeToString([]byte(e.text(c, c.argument))))
}

func (e *evaluator) importValue(c call) Value {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("${}", r) {
			return -1
		}
		return r
	}, e.text(c, c.argument))
	return e.unknown(c.n, c.path, "ImportValue "+name, "another stack exports it")
}
