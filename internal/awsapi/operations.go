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
		custom     = "it has no custom action types."
		soon       = "not yet there"
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
		"ListActionTypes":        lacks(reads, soon),
		"GetActionType":          lacks(reads, soon),
		"ListRuleTypes":          lacks(reads, soon),
		"CreateCustomActionType": lacks(changes, custom),
		"UpdateActionType":       lacks(changes, custom),
		"DeleteCustomActionType": lacks(changes, custom),

		// Job workers.
		"PollForJobs":         lacks(runs, custom),
		"AcknowledgeJob":      lacks(runs, custom),
		"GetJobDetails":       lacks(runs, custom),
		"PutJobSuccessResult": lacks(runs, custom),
		"PutJobFailureResult": lacks(runs, custom),

		"PollForThirdPartyJobs":         lacks(runs, thirdParty),
		"AcknowledgeThirdPartyJob":      lacks(runs, thirdParty),
		"GetThirdPartyJobDetails":       lacks(runs, thirdParty),
		"PutThirdPartyJobSuccessResult": lacks(runs, thirdParty),
		"PutThirdPartyJobFailureResult": lacks(runs, thirdParty),

		// Webhooks.
		"ListWebhooks":                    lacks(reads, soon),
		"PutWebhook":                      lacks(changes, soon),
		"DeleteWebhook":                   lacks(changes, soon),
		"RegisterWebhookWithThirdParty":   lacks(changes, soon),
		"DeregisterWebhookWithThirdParty": lacks(changes, soon),
	}
}
