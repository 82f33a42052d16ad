package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// clusterName is the name of a cluster of EKS.
var clusterName = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)

// deploy is a build that runs "towline deploy": the same plan, the same
// cut-over and the same verdict, from AWS.
func (x *exporter) deploy(path string, s pipeline.Stage, a pipeline.Action) pipeline.Action {
	var d pipeline.Deploy
	if err := json.Unmarshal(a.Configuration, &d); len(a.Configuration) > 0 && err != nil {
		x.leftover(path+".configuration", "it cannot be read: %v", err)
	}
	given := ""
	if clusterName.MatchString(d.Cluster) {
		given = d.Cluster
	}
	cluster := x.parameter("Cluster"+x.suffix(d.Cluster), "Cluster of EKS that action "+a.Name+" deploys to", given)
	command := []string{"towline deploy --config /tmp/deploy.json"}
	variables := map[string]string{}
	d.Images = x.late(d.Images, "--image", "IMAGE", &command, variables)
	d.Variables = x.late(d.Variables, "--set", "VARIABLE", &command, variables)
	d.Cluster = ""
	if d.App == "" {
		d.App = x.original.Name
	}
	namespace := d.Namespace
	if namespace == "" {
		namespace = "default"
		x.leftover(path+".namespace", "the role may change namespace default alone: name the one that is meant")
	}
	config := encode(d)
	if strings.Contains(string(config), "#{") {
		x.leftover(path+".configuration", "a variable stands elsewhere than in images and variables, where CodePipeline fills it in")
	}
	p := project{
		stage: s.Name, action: a.Name, timeout: minutes(d.Timeout) + minutes(d.ApprovalWait),
		environment: map[string]any{
			"CLUSTER": cluster,
			"TOWLINE": x.parameter("Towline", "URL of the towline program for Linux, which the builds fetch", ""),
			"SHA256":  x.parameter("TowlineSHA256", "SHA-256 of that program, in hex", ""),
		},
		permissions: []permission{{[]string{"eks:DescribeCluster"}, list{sub("arn:${AWS::Partition}:eks:${AWS::Region}:${AWS::AccountId}:cluster/${" + cluster.text + "}")}}},
		buildspec: x.node(object{
			{"version", "0.2"},
			{"phases", object{
				{"install", object{{"commands", []string{
					`curl --fail --silent --show-error --location --output /usr/local/bin/towline "$TOWLINE"`,
					`echo "$SHA256  /usr/local/bin/towline" | sha256sum --check`,
					`chmod +x /usr/local/bin/towline`,
				}}}},
				{"build", object{{"commands", []string{
					`aws eks update-kubeconfig --name "$CLUSTER"`,
					"printf '%s' " + shellWords([]string{string(config)}) + " > /tmp/deploy.json",
					strings.Join(command, " "),
				}}}},
			}},
		}),
	}
	if p.timeout > 0 {
		p.timeout += leastBuild // for what comes before and after
	}
	a.Outputs = nil
	before := len(x.resources)
	out := x.started(a, x.make(p), variables)
	x.access(s, a, cluster, x.roleIn(before), namespace)
	return out
}

// roleIn is the role among the resources from that index on.
func (x *exporter) roleIn(from int) string {
	for _, r := range x.resources[from:] {
		if body, ok := r.value.(object); ok && body[0].value == "AWS::IAM::Role" {
			return r.name
		}
	}
	return ""
}

// access lets the role of a deployment into the cluster, for one namespace.
func (x *exporter) access(s pipeline.Stage, a pipeline.Action, cluster tag, role, namespace string) {
	x.resource(x.logical(s.Name, a.Name, "Access"), "AWS::EKS::AccessEntry", object{
		{"ClusterName", cluster}, {"PrincipalArn", attr(role + ".Arn")},
		{"AccessPolicies", list{object{
			{"PolicyArn", sub("arn:${AWS::Partition}:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy")},
			{"AccessScope", object{{"Type", "namespace"}, {"Namespaces", []string{namespace}}}},
		}}},
	})
}

// late takes the values out that are known only when the pipeline runs, and
// gives them to the command by the environment.
func (x *exporter) late(values map[string]string, flag, prefix string, command *[]string, variables map[string]string) map[string]string {
	rest := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.Contains(values[name], "#{") {
			rest[name] = values[name]
			continue
		}
		variable := fmt.Sprintf("%s_%d", prefix, len(variables)+1)
		variables[variable] = values[name]
		*command = append(*command, flag, shellWords([]string{name + "="})+`"$`+variable+`"`)
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// suffix tells the parameters of several clusters apart.
func (x *exporter) suffix(cluster string) string {
	var all []string
	for _, s := range x.original.Stages {
		for _, a := range s.Actions {
			if a.Type.Owner == owner && a.Type.String() == "Deploy/Kubernetes" {
				var d pipeline.Deploy
				if json.Unmarshal(a.Configuration, &d) == nil && !slices.Contains(all, d.Cluster) {
					all = append(all, d.Cluster)
				}
			}
		}
	}
	if i := slices.Index(all, cluster); i > 0 {
		return fmt.Sprint(i + 1)
	}
	return ""
}
