package codebuild

import (
	"maps"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
)

// The roles that operations need.
const (
	reads   = client.Viewer
	runs    = client.Operator
	changes = client.Admin
)

// operations is THE table: all operations of the API (version 2016-10-06), the
// role that each needs, and what carries it out. One that Towline does not have
// says so, and why.
func (s *service) operations() map[string]wire.Operation {
	all := map[string]wire.Operation{
		// Projects.
		"CreateProject":    does(changes, s.createProject),
		"UpdateProject":    does(changes, s.updateProject),
		"DeleteProject":    does(changes, s.deleteProject),
		"BatchGetProjects": does(reads, s.batchGetProjects),
		"ListProjects":     does(reads, s.listProjects),

		// Builds.
		"StartBuild":           does(runs, s.startBuild),
		"StopBuild":            does(runs, s.stopBuild),
		"RetryBuild":           does(runs, s.retryBuild),
		"BatchGetBuilds":       does(reads, s.batchGetBuilds),
		"BatchDeleteBuilds":    does(changes, s.batchDeleteBuilds),
		"ListBuilds":           does(reads, s.listBuilds),
		"ListBuildsForProject": does(reads, s.listBuildsForProject),

		// Batches of builds.
		"StartBuildBatch":            does(runs, s.startBuildBatch),
		"StopBuildBatch":             does(runs, s.stopBuildBatch),
		"RetryBuildBatch":            does(runs, s.retryBuildBatch),
		"DeleteBuildBatch":           does(changes, s.deleteBuildBatch),
		"BatchGetBuildBatches":       does(reads, s.batchGetBuildBatches),
		"ListBuildBatches":           does(reads, s.listBuildBatches),
		"ListBuildBatchesForProject": does(reads, s.listBuildBatchesForProject),

		// Reports of tests and of coverage.
		"CreateReportGroup":         does(changes, s.createReportGroup),
		"UpdateReportGroup":         does(changes, s.updateReportGroup),
		"DeleteReportGroup":         does(changes, s.deleteReportGroup),
		"ListReportGroups":          does(reads, s.listReportGroups),
		"BatchGetReportGroups":      does(reads, s.batchGetReportGroups),
		"GetReportGroupTrend":       does(reads, s.getReportGroupTrend),
		"ListReports":               does(reads, s.listReports),
		"ListReportsForReportGroup": does(reads, s.listReportsForGroup),
		"BatchGetReports":           does(reads, s.batchGetReports),
		"DeleteReport":              does(changes, s.deleteReport),
		"DescribeTestCases":         does(reads, s.describeTestCases),
		"DescribeCodeCoverages":     does(reads, s.describeCodeCoverages),
	}
	maps.Copy(all, absent())
	return all
}

// absent are the operations that Towline does not have, and why.
func absent() map[string]wire.Operation {
	all := map[string]wire.Operation{}
	lacks := func(needs client.Role, why string, names ...string) {
		for _, name := range names {
			all[name] = wire.Lacks(needs, why)
		}
	}
	const (
		shared      = "nothing is shared between accounts: a server has one."
		policies    = "who may do what is said by the roles of access keys (towline accesskey)."
		fleets      = "builds run on the server's machine or as Pods, and not on fleets."
		sandboxes   = "there are no sandboxes: start a build."
		webhooks    = "pushes and webhooks start pipelines: give the pipeline an action of the type CodeBuild."
		credentials = "the credentials of a repository belong to its mirror (towline mirror add)."
	)
	lacks(changes, "builds are shown to those alone who have an access key or a token.", "UpdateProjectVisibility")
	lacks(runs, "caches are kept for each project and user on the machine that builds.", "InvalidateProjectCache")
	lacks(reads, "builds run with the tools of the server's machine, or in Pods of an image of your own.", "ListCuratedEnvironmentImages")
	lacks(reads, shared, "ListSharedProjects", "ListSharedReportGroups")
	lacks(reads, policies, "GetResourcePolicy")
	lacks(changes, policies, "PutResourcePolicy", "DeleteResourcePolicy")
	lacks(reads, fleets, "BatchGetFleets", "ListFleets")
	lacks(changes, fleets, "CreateFleet", "UpdateFleet", "DeleteFleet")
	lacks(reads, sandboxes, "BatchGetSandboxes", "BatchGetCommandExecutions", "ListSandboxes", "ListSandboxesForProject", "ListCommandExecutionsForSandbox")
	lacks(runs, sandboxes, "StartSandbox", "StopSandbox", "StartSandboxConnection", "StartCommandExecution")
	lacks(changes, webhooks, "CreateWebhook", "UpdateWebhook", "DeleteWebhook")
	lacks(reads, credentials, "ListSourceCredentials")
	lacks(changes, credentials, "ImportSourceCredentials", "DeleteSourceCredentials")
	return all
}
