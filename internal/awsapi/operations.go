package awsapi

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

// operations is THE table, by noun: all operations of the API (version
// 2015-07-09), the role that each needs, and what carries it out. One that Towline
// does not have says so, and why.
func (h *Handler) operations() map[string]wire.Operation {
	all := map[string]wire.Operation{}
	for _, some := range []map[string]wire.Operation{
		h.ofDefinitions(), h.ofExecutions(), h.ofTypes(), h.ofJobs(), h.ofWebhooks(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func (h *Handler) ofDefinitions() map[string]wire.Operation {
	return map[string]wire.Operation{
		"ListPipelines":  wire.Does(reads, h.listPipelines),
		"GetPipeline":    wire.Does(reads, h.getPipeline),
		"CreatePipeline": wire.Does(changes, h.createPipeline),
		"UpdatePipeline": wire.Does(changes, h.updatePipeline),
		"DeletePipeline": wire.Does(changes, h.deletePipeline),

		"ListTagsForResource": wire.Does(reads, h.listTags),
		"TagResource":         wire.Does(changes, h.tagResource),
		"UntagResource":       wire.Does(changes, h.untagResource),
	}
}

func (h *Handler) ofExecutions() map[string]wire.Operation {
	return map[string]wire.Operation{
		"ListPipelineExecutions": wire.Does(reads, h.listExecutions),
		"GetPipelineExecution":   wire.Does(reads, h.getExecution),
		"GetPipelineState":       wire.Does(reads, h.getState),
		"ListActionExecutions":   wire.Does(reads, h.listActionExecutions),
		"ListRuleExecutions":     wire.Does(reads, h.listRuleExecutions),
		"StartPipelineExecution": wire.Does(runs, h.start),
		"StopPipelineExecution":  wire.Does(runs, h.stop),
		"PutApprovalResult":      wire.Does(runs, h.approve),
		"RetryStageExecution":    wire.Does(runs, h.retry),
		"RollbackStage":          wire.Does(runs, h.rollBack),
		"OverrideStageCondition": wire.Does(runs, h.override),
		"EnableStageTransition":  wire.Does(runs, h.enableTransition),
		"DisableStageTransition": wire.Does(runs, h.disableTransition),

		"PutActionRevision":                wire.Lacks(runs, "a source tells of its revisions itself; StartPipelineExecution takes one by sourceRevisions."),
		"ListDeployActionExecutionTargets": wire.Lacks(reads, "deployments are shown by `towline deployments`."),
	}
}

func (h *Handler) ofTypes() map[string]wire.Operation {
	const executors = "its custom action types are worked on by job workers, and have no executor; ListActionTypes shows them."
	return map[string]wire.Operation{
		"ListActionTypes":        wire.Does(reads, h.listActionTypes),
		"GetActionType":          wire.Lacks(reads, executors),
		"ListRuleTypes":          wire.Does(reads, h.listRuleTypes),
		"CreateCustomActionType": wire.Does(changes, h.createActionType),
		"UpdateActionType":       wire.Lacks(changes, executors),
		"DeleteCustomActionType": wire.Does(changes, h.deleteActionType),
	}
}

func (h *Handler) ofJobs() map[string]wire.Operation {
	const thirdParty = "it has no third-party action types; job workers use custom ones."
	// The holder of a job's credentials reports about that job.
	reports := func(op wire.Operation) wire.Operation {
		op.Sessions = true
		return op
	}
	return map[string]wire.Operation{
		"PollForJobs":         wire.Does(runs, h.poll),
		"AcknowledgeJob":      wire.Does(runs, h.acknowledge),
		"GetJobDetails":       wire.Does(runs, h.jobDetails),
		"PutJobSuccessResult": reports(wire.Does(runs, h.jobSucceeded)),
		"PutJobFailureResult": reports(wire.Does(runs, h.jobFailed)),

		"PollForThirdPartyJobs":         wire.Lacks(runs, thirdParty),
		"AcknowledgeThirdPartyJob":      wire.Lacks(runs, thirdParty),
		"GetThirdPartyJobDetails":       wire.Lacks(runs, thirdParty),
		"PutThirdPartyJobSuccessResult": wire.Lacks(runs, thirdParty),
		"PutThirdPartyJobFailureResult": wire.Lacks(runs, thirdParty),
	}
}

func (h *Handler) ofWebhooks() map[string]wire.Operation {
	const registers = "it does not sign in to GitHub: give the URL that PutWebhook answers to the repository's webhook there."
	return map[string]wire.Operation{
		"ListWebhooks":                    wire.Does(reads, h.listWebhooks),
		"PutWebhook":                      wire.Does(changes, h.putWebhook),
		"DeleteWebhook":                   wire.Does(changes, h.deleteWebhook),
		"RegisterWebhookWithThirdParty":   wire.Lacks(changes, registers),
		"DeregisterWebhookWithThirdParty": wire.Lacks(changes, registers),
	}
}
