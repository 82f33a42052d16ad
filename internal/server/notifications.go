package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// notificationRoutes are for the admin alone, as the whole API is: who can add
// a notification chooses whom the server talks to.
func (s *Server) notificationRoutes(api huma.API) {
	huma.Get(api, "/notifications", s.listNotifications)
	huma.Register(api, huma.Operation{
		OperationID: "add-notification", Method: http.MethodPut, Path: "/notifications/{name}", Summary: "Tell a webhook, a chat or a mailbox what happens",
		Description: "Where it goes is encrypted at rest and never given back; a secret that the server has made is in this one answer.",
	}, s.addNotification)
	huma.Delete(api, "/notifications/{name}", s.removeNotification)
	huma.Post(api, "/notifications/{name}/test", s.testNotification)
	huma.Get(api, "/notifications/dead", s.deadNotifications)
	huma.Post(api, "/notifications/{name}/redeliver", s.redeliver)
}

// notificationError maps what the notifications say to an answer. Their errors
// hold no secrets.
func (s *Server) notificationError(what string, err error) error {
	if wrong, ok := errors.AsType[*notify.InvalidError](err); ok {
		return huma.Error422UnprocessableEntity(wrong.Error())
	}
	if errors.Is(err, store.ErrExists) {
		return huma.Error409Conflict(err.Error() + ": remove it first, or choose another name")
	}
	if lost, ok := errors.AsType[*secret.LostKeyError](err); ok {
		return huma.Error409Conflict(lost.Error())
	}
	return s.fail(what, err)
}

func (s *Server) listNotifications(ctx context.Context, _ *none) (*answer[[]client.Notification], error) {
	all, err := s.Notifications.List(ctx)
	if err != nil {
		return nil, s.notificationError("list notifications", err)
	}
	found := []client.Notification{}
	for _, n := range all {
		found = append(found, showNotification(n))
	}
	return &answer[[]client.Notification]{found}, nil
}

func showNotification(n notify.Listed) client.Notification {
	shown := client.Notification{
		Name: n.Name, To: n.To, Created: n.Created, Pending: n.Counts.Pending, Delivered: n.Counts.Delivered, Dead: n.Counts.Dead,
		Error: n.Counts.Error, Problem: n.Problem,
		NotificationRequest: client.NotificationRequest{Kind: string(n.Kind), Pipelines: n.Filter.Pipelines, Failed: n.Filter.Failed},
	}
	for _, what := range n.Filter.Kinds {
		shown.Events = append(shown.Events, string(what))
	}
	if !n.Counts.Last.IsZero() {
		shown.Arrived = &n.Counts.Last
	}
	return shown
}

func (s *Server) addNotification(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"63" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" patternDescription:"letters, digits, dots, dashes and underscores"`
	Body client.NotificationRequest
}) (*answer[client.NewNotification], error) {
	wanted := notify.Subscription{
		Name: in.Name, Kind: notify.Kind(in.Body.Kind), Target: notify.Target{URL: in.Body.URL, Secret: in.Body.Secret},
		Filter: notify.Filter{Pipelines: in.Body.Pipelines, Failed: in.Body.Failed},
	}
	for _, what := range in.Body.Events {
		wanted.Filter.Kinds = append(wanted.Filter.Kinds, notify.What(what))
	}
	if m := in.Body.SMTP; m != nil {
		wanted.Target.SMTP = &notify.SMTP{Server: m.Server, Security: notify.Security(m.Security), From: m.From, To: m.To, User: m.User, Password: m.Password}
	}
	added, err := s.Notifications.Add(ctx, wanted)
	if err != nil {
		return nil, s.notificationError("add notification", err)
	}
	made := client.NewNotification{Notification: showNotification(notify.Listed{
		Name: added.Name, Kind: added.Kind, Filter: added.Filter, To: added.Target.Public(), Created: added.Created,
	})}
	if in.Body.Secret == "" {
		made.Made = added.Target.Secret
	}
	return &answer[client.NewNotification]{made}, nil
}

func (s *Server) removeNotification(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*none, error) {
	if err := s.Notifications.Remove(ctx, in.Name); err != nil {
		return nil, s.notificationError("remove notification", err)
	}
	return nil, nil
}

func (s *Server) testNotification(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*answer[client.NotificationTest], error) {
	problem, err := s.Notifications.Test(ctx, in.Name)
	if err != nil {
		return nil, s.notificationError("test notification", err)
	}
	test := client.NotificationTest{Delivered: problem == nil}
	if problem != nil {
		test.Problem = problem.Error()
	}
	return &answer[client.NotificationTest]{test}, nil
}

func (s *Server) deadNotifications(ctx context.Context, in *struct {
	Notification string `query:"notification" doc:"default those of all"`
	Limit        int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*answer[[]client.DeadNotification], error) {
	dead, err := s.Notifications.Dead(ctx, in.Notification, in.Limit)
	if err != nil {
		return nil, s.notificationError("list dead notifications", err)
	}
	found := []client.DeadNotification{}
	for _, n := range dead {
		found = append(found, client.DeadNotification{
			ID: n.ID, Notification: n.Notification, Execution: n.Execution, Event: n.Event, Title: n.Title,
			Attempts: n.Attempts, Queued: n.Queued, Tried: n.Tried, Error: n.Error,
		})
	}
	return &answer[[]client.DeadNotification]{found}, nil
}

func (s *Server) redeliver(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body client.RedeliverRequest
}) (*answer[client.Redelivered], error) {
	count, err := s.Notifications.Redeliver(ctx, in.Name, in.Body.ID)
	if err != nil {
		return nil, s.notificationError("redeliver", err)
	}
	return &answer[client.Redelivered]{client.Redelivered{Count: count}}, nil
}
