package codebuild

import (
	"time"

	"github.com/towline/towline/internal/project"
)

// phaseDocuments are the phases of a build or a batch in CodeBuild's form.
func phaseDocuments(all []project.Phase) []document {
	var phases []document
	for _, p := range all {
		phases = append(phases, phaseDocument(p))
	}
	return phases
}

func phaseDocument(p project.Phase) document {
	doc := document{}
	doc.set("phaseType", p.Name)
	if p.Name == project.PhaseCompleted {
		doc.at("startTime", p.Started)
		return doc
	}
	doc.at("startTime", p.Started)
	if p.Ended.IsZero() {
		return doc
	}
	doc.set("phaseStatus", p.Status)
	doc.at("endTime", p.Ended)
	doc.set("durationInSeconds", int64(p.Ended.Sub(p.Started)/time.Second))
	if p.Status == project.Succeeded {
		doc.set("contexts", []map[string]string{{"statusCode": "", "message": ""}})
		return doc
	}
	doc.set("contexts", []map[string]string{{"statusCode": statusCode(p), "message": p.Message}})
	return doc
}

// statusCode is CodeBuild's word for why a phase did not succeed.
func statusCode(p project.Phase) string {
	switch p.Status {
	case project.TimedOut:
		return "BUILD_TIMED_OUT"
	case project.Stopped:
		return "BUILD_STOPPED"
	case project.Fault:
		return "INTERNAL_ERROR"
	}
	switch p.Name {
	case project.PhaseInstall, project.PhasePreBuild, project.PhaseBuild, project.PhasePostBuild:
		return "COMMAND_EXECUTION_ERROR"
	case project.PhaseSource:
		return "SOURCE_ERROR"
	}
	return "CLIENT_ERROR"
}
