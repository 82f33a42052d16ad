package awsapi

import "github.com/towline/towline/internal/client"

// operations is THE table: all operations of the API (version 2015-07-09), the
// role that each needs, and what carries it out. One that Towline does not have
// says so, and why.
func (h *Handler) operations() map[string]operation {
	const (
		reads   = client.Viewer
		runs    = client.Operator
		changes = client.Admin
	)
	lacks := func(needs client.Role, why string) operation { return operation{needs: needs, why: why} }
	const (
		thirdParty = "it has no third-party action types; job workers use custom ones."
		executors  = "its custom action types are worked on by job workers, and have no executor; ListActionTypes shows them."
		webhooks   = "it does not sign in to GitHub: give the URL that PutWebhook answers to the repository's webhook there."
	)
	return map[string]operation{
		// Definitions.
		"ListPipelines":  does(reads, h.listPipelines),
		"GetPipeline":    does(reads, h.getPipeline),
		"CreatePipeline": does(changes, h.createPipeline),
		"UpdatePipeline": does(changes, h.updatePipeline),
		"DeletePipeline": does(changes, h.deletePipeline),

		"ListTagsForResource": does(reads, h.listTags),
		"TagResource":         does(changes, h.tagResource),
		"UntagResource":       does(changes, h.untagResource),

		// Executions.
		"ListPipelineExecutions": does(reads, h.listExecutions),
		"GetPipelineExecution":   does(reads, h.getExecution),
		"GetPipelineState":       does(reads, h.getState),
		"ListActionExecutions":   does(reads, h.listActionExecutions),
		"ListRuleExecutions":     does(reads, h.listRuleExecutions),
		"StartPipelineExecution": does(runs, h.start),
		"StopPipelineExecution":  does(runs, h.stop),
		"PutApprovalResult":      does(runs, h.approve),
		"RetryStageExecution":    does(runs, h.retry),
		"RollbackStage":          does(runs, h.rollBack),
		"OverrideStageCondition": does(runs, h.override),
		"EnableStageTransition":  does(runs, h.enableTransition),
		"DisableStageTransition": does(runs, h.disableTransition),

		"PutActionRevision":                lacks(runs, "a source tells of its revisions itself; StartPipelineExecution takes one by sourceRevisions."),
		"ListDeployActionExecutionTargets": lacks(reads, "deployments are shown by `towline deployments`."),

		// Types of actions and rules.
		"ListActionTypes":        does(reads, h.listActionTypes),
		"GetActionType":          lacks(reads, executors),
		"ListRuleTypes":          does(reads, h.listRuleTypes),
		"CreateCustomActionType": does(changes, h.createActionType),
		"UpdateActionType":       lacks(changes, executors),
		"DeleteCustomActionType": does(changes, h.deleteActionType),

		// Job workers.
		"PollForJobs":         does(runs, h.poll),
		"AcknowledgeJob":      does(runs, h.acknowledge),
		"GetJobDetails":       does(runs, h.jobDetails),
		"PutJobSuccessResult": does(runs, h.jobSucceeded),
		"PutJobFailureResult": does(runs, h.jobFailed),

		"PollForThirdPartyJobs":         lacks(runs, thirdParty),
		"AcknowledgeThirdPartyJob":      lacks(runs, thirdParty),
		"GetThirdPartyJobDetails":       lacks(runs, thirdParty),
		"PutThirdPartyJobSuccessResult": lacks(runs, thirdParty),
		"PutThirdPartyJobFailureResult": lacks(runs, thirdParty),

		// Webhooks.
		"ListWebhooks":                    does(reads, h.listWebhooks),
		"PutWebhook":                      does(changes, h.putWebhook),
		"DeleteWebhook":                   does(changes, h.deleteWebhook),
		"RegisterWebhookWithThirdParty":   lacks(changes, webhooks),
		"DeregisterWebhookWithThirdParty": lacks(changes, webhooks),
	}
}
