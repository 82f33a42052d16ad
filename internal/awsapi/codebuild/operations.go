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

		// Reports of tests.
		"ListReportGroups":          does(reads, s.listReportGroups),
		"BatchGetReportGroups":      does(reads, s.batchGetReportGroups),
		"ListReports":               does(reads, s.listReports),
		"ListReportsForReportGroup": does(reads, s.listReportsForGroup),
		"BatchGetReports":           does(reads, s.batchGetReports),
		"DescribeTestCases":         does(reads, s.describeTestCases),
	}
	maps.Copy(all, absent())
	return all
}

// absent are the operations that Towline does not have, and why.
func absent() map[string]wire.Operation {
	lacks := wire.Lacks
	const (
		images      = "builds run with the tools of the server's machine, or in Pods of an image of your own."
		coverage    = "coverage is shown with the execution of a pipeline."
		groups      = "report groups come from the reports that builds write, and change with those alone."
		trends      = "the reports of a project's builds are listed by ListReports."
		shared      = "nothing is shared between accounts: a server has one."
		policies    = "who may do what is said by the roles of access keys (towline accesskey)."
		fleets      = "builds run on the server's machine or as Pods, and not on fleets."
		sandboxes   = "there are no sandboxes: start a build."
		webhooks    = "pushes and webhooks start pipelines: give the pipeline an action of the type CodeBuild."
		credentials = "the credentials of a repository belong to its mirror (towline mirror add)."
		caches      = "caches are kept for each project and user on the machine that builds."
		public      = "builds are shown to those alone who have an access key or a token."
	)
	return map[string]wire.Operation{
		"UpdateProjectVisibility":         lacks(changes, public),
		"InvalidateProjectCache":          lacks(runs, caches),
		"ListSharedProjects":              lacks(reads, shared),
		"ListCuratedEnvironmentImages":    lacks(reads, images),
		"CreateReportGroup":               lacks(changes, groups),
		"UpdateReportGroup":               lacks(changes, groups),
		"DeleteReportGroup":               lacks(changes, groups),
		"DeleteReport":                    lacks(changes, "a report goes with its build: BatchDeleteBuilds."),
		"DescribeCodeCoverages":           lacks(reads, coverage),
		"GetReportGroupTrend":             lacks(reads, trends),
		"ListSharedReportGroups":          lacks(reads, shared),
		"CreateFleet":                     lacks(changes, fleets),
		"UpdateFleet":                     lacks(changes, fleets),
		"DeleteFleet":                     lacks(changes, fleets),
		"BatchGetFleets":                  lacks(reads, fleets),
		"ListFleets":                      lacks(reads, fleets),
		"StartSandbox":                    lacks(runs, sandboxes),
		"StopSandbox":                     lacks(runs, sandboxes),
		"StartSandboxConnection":          lacks(runs, sandboxes),
		"StartCommandExecution":           lacks(runs, sandboxes),
		"BatchGetSandboxes":               lacks(reads, sandboxes),
		"BatchGetCommandExecutions":       lacks(reads, sandboxes),
		"ListSandboxes":                   lacks(reads, sandboxes),
		"ListSandboxesForProject":         lacks(reads, sandboxes),
		"ListCommandExecutionsForSandbox": lacks(reads, sandboxes),
		"CreateWebhook":                   lacks(changes, webhooks),
		"UpdateWebhook":                   lacks(changes, webhooks),
		"DeleteWebhook":                   lacks(changes, webhooks),
		"ImportSourceCredentials":         lacks(changes, credentials),
		"DeleteSourceCredentials":         lacks(changes, credentials),
		"ListSourceCredentials":           lacks(reads, credentials),
		"GetResourcePolicy":               lacks(reads, policies),
		"PutResourcePolicy":               lacks(changes, policies),
		"DeleteResourcePolicy":            lacks(changes, policies),
	}
}
