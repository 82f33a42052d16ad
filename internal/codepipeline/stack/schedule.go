package stack

import (
	"fmt"
	"strings"

	"github.com/towline/towline/internal/timetable"
)

// schedules start the pipeline at certain times, by way of the scheduler of
// EventBridge.
func (x *exporter) schedules() {
	made := false
	for i, s := range x.original.On.Schedule {
		// Its six fields begin with seconds; the scheduler's end with a year.
		fields, err := timetable.Window(s.Cron)
		_, rest, ok := strings.Cut(fields, " ")
		if err != nil || !ok {
			x.leftover(fmt.Sprintf("on.schedule[%d]", i), "EventBridge cannot say %q: %v", s.Cron, err)
			continue
		}
		if !made {
			made = true
			x.taken["ScheduleRole"] = true
			x.roleResource("ScheduleRole", "scheduler.amazonaws.com", []permission{{[]string{"codepipeline:StartPipelineExecution"}, list{x.self()}}})
		}
		zone := s.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		x.resource(x.logical("Schedule"), "AWS::Scheduler::Schedule", object{
			{"ScheduleExpression", "cron(" + rest + " *)"}, {"ScheduleExpressionTimezone", zone},
			{"FlexibleTimeWindow", object{{"Mode", "OFF"}}},
			{"Target", object{{"Arn", x.self()}, {"RoleArn", attr("ScheduleRole.Arn")}}},
		})
	}
}

// self is the pipeline.
func (x *exporter) self() tag { return arn("codepipeline", x.original.Name) }
