package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// permission is what a role may do.
type permission struct {
	actions   []string
	resources list
}

func (p permission) statement() object {
	actions := list{}
	for _, a := range p.actions {
		actions = append(actions, a)
	}
	return object{{"Effect", "Allow"}, {"Action", actions}, {"Resource", p.resources}}
}

// allow lets the pipeline's role do something. The same twice is once.
func (x *exporter) allow(resources list, actions ...string) {
	p := permission{actions, resources}
	x.permissions[fmt.Sprint(p)] = p
}

// role makes the role of the pipeline, unless the definition names one.
func (x *exporter) role() {
	if given := x.roleGiven(); given != "" {
		if x.projects {
			x.leftover("roleArn", "the stack has its own CodeBuild projects; let role %s use them", given)
		}
		return
	}
	x.allow(list{x.objects()}, "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject")
	x.allow(list{x.bucketARN}, "s3:GetBucketLocation", "s3:GetBucketVersioning")
	x.roleResource("PipelineRole", "codepipeline.amazonaws.com", slices.Collect(maps.Values(x.permissions)))
}

func (x *exporter) roleGiven() string {
	var given string
	if json.Unmarshal(x.original.Foreign["roleArn"], &given) != nil || !known(given) {
		return ""
	}
	return given
}

// roleResource makes a role that one service of this account may take.
func (x *exporter) roleResource(name, service string, permissions []permission) {
	slices.SortFunc(permissions, func(a, b permission) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	statements := list{}
	for _, p := range permissions {
		statements = append(statements, p.statement())
	}
	x.resource(name, "AWS::IAM::Role", object{
		{"AssumeRolePolicyDocument", object{{"Version", "2012-10-17"}, {"Statement", list{object{
			{"Effect", "Allow"}, {"Principal", object{{"Service", service}}}, {"Action", "sts:AssumeRole"},
			{"Condition", object{{"StringEquals", object{{"aws:SourceAccount", ref("AWS::AccountId")}}}}},
		}}}}},
		{"Policies", list{object{
			{"PolicyName", "what-it-does"},
			{"PolicyDocument", object{{"Version", "2012-10-17"}, {"Statement", statements}}},
		}}},
	})
}

// arn is the name of a resource in the account and region of the stack.
func arn(service, resource string) tag {
	return sub("arn:${AWS::Partition}:" + service + ":${AWS::Region}:${AWS::AccountId}:" + escaped(resource))
}

// escaped keeps a text from being taken for a variable of !Sub, but for those
// of AWS's own.
func escaped(text string) string {
	const own = "${AWS::"
	return strings.ReplaceAll(strings.ReplaceAll(text, "${", "${!"), "${!AWS::", own)
}

// carried lets the role do what an action of AWS's needs.
func (x *exporter) carried(path string, a pipeline.Action) {
	if raw, ok := a.Foreign["roleArn"]; ok {
		var role string
		if json.Unmarshal(raw, &role) == nil && known(role) {
			x.allow(list{role}, "sts:AssumeRole")
			return
		}
	}
	x.needs(path, a.Type, settings(a.Configuration))
}

// settings are the texts of a configuration.
func settings(configuration json.RawMessage) map[string]string {
	var values map[string]any
	out := map[string]string{}
	if json.Unmarshal(configuration, &values) != nil {
		return out
	}
	for name, value := range values {
		if text, ok := value.(string); ok {
			out[name] = text
		}
	}
	return out
}

// needs are the permissions that the types of AWS's actions and rules need, for
// those that are in use most; others are named.
func (x *exporter) needs(path string, t pipeline.ActionType, config map[string]string) {
	// What is only known when the pipeline runs is any.
	of := func(name string) string {
		if v := config[name]; known(v) && !strings.Contains(v, "#{") {
			return v
		}
		return "*"
	}
	switch t.Provider {
	case "CodeStarSourceConnection":
		if c := config["ConnectionArn"]; c != "" {
			x.allow(list{c}, "codeconnections:UseConnection", "codestar-connections:UseConnection")
		}
	case "S3":
		if t.Category == pipeline.CategorySource {
			bucket := sub("arn:${AWS::Partition}:s3:::" + escaped(of("S3Bucket")))
			x.allow(list{bucket}, "s3:GetBucketVersioning", "s3:GetBucketLocation", "s3:ListBucket")
			x.allow(list{sub(bucket.text + "/" + escaped(of("S3ObjectKey")))}, "s3:GetObject", "s3:GetObjectVersion")
			return
		}
		x.allow(list{sub("arn:${AWS::Partition}:s3:::" + escaped(of("BucketName")) + "/*")}, "s3:PutObject", "s3:PutObjectVersionTagging")
	case "CodeCommit":
		x.allow(list{arn("codecommit", of("RepositoryName"))}, "codecommit:GetBranch", "codecommit:GetCommit", "codecommit:GetRepository", "codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus", "codecommit:CancelUploadArchive")
	case "CodeDeploy":
		x.allow(list{arn("codedeploy", "application:"+of("ApplicationName"))}, "codedeploy:GetApplication", "codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision")
		x.allow(list{arn("codedeploy", "deploymentgroup:"+of("ApplicationName")+"/"+of("DeploymentGroupName"))}, "codedeploy:CreateDeployment", "codedeploy:GetDeployment")
		x.allow(list{arn("codedeploy", "deploymentconfig:*")}, "codedeploy:GetDeploymentConfig")
	case "ECR":
		x.allow(list{arn("ecr", "repository/"+of("RepositoryName"))}, "ecr:DescribeImages")
	case "CodeBuild":
		x.allow(list{arn("codebuild", "project/"+of("ProjectName"))}, "codebuild:StartBuild", "codebuild:BatchGetBuilds", "codebuild:StartBuildBatch", "codebuild:BatchGetBuildBatches")
	case "Lambda", "LambdaInvoke":
		x.allow(list{arn("lambda", "function:"+of("FunctionName"))}, "lambda:InvokeFunction")
	case "StepFunctions":
		x.allow(list{of("StateMachineArn")}, "states:DescribeStateMachine", "states:StartExecution")
		x.allow(list{arn("states", "execution:*")}, "states:DescribeExecution")
	case "EKS":
		x.allow(list{arn("eks", "cluster/"+of("ClusterName"))}, "eks:DescribeCluster")
		x.logs()
	case "CloudWatchAlarm":
		x.allow(list{arn("cloudwatch", "alarm:"+of("AlarmName"))}, "cloudwatch:DescribeAlarms")
	case "Commands", "ECRBuildAndPublish":
		x.logs()
	case "Manual":
		if topic := config["NotificationArn"]; topic != "" {
			x.allow(list{topic}, "sns:Publish")
		}
	case "VariableCheck", "DeploymentWindow":
	default:
		if t.Owner == "AWS" {
			x.leftover(path, "give role PipelineRole what %s needs: its permissions are not known here", t)
		}
	}
}

// logs lets actions that AWS runs by itself write their logs.
func (x *exporter) logs() {
	x.allow(list{arn("logs", "log-group:/aws/codepipeline/"+x.original.Name), arn("logs", "log-group:/aws/codepipeline/"+x.original.Name+":*")},
		"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
}
