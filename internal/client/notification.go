package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Notification is a subscription to what happens to executions, without what is
// secret.
type Notification struct {
	Name string `json:"name"`
	NotificationRequest
	To      string    `json:"to,omitempty" doc:"the host of its URL, or who gets mail by which server"`
	Created time.Time `json:"created"`
	// What is kept of the events that it was to be sent.
	Pending   int        `json:"pending" doc:"events that are still to be sent"`
	Delivered int        `json:"delivered" doc:"events that arrived within the last days"`
	Dead      int        `json:"dead" doc:"events that were given up"`
	Arrived   *time.Time `json:"arrived,omitempty" doc:"when the last one arrived"`
	Error     string     `json:"error,omitempty" doc:"why the oldest pending event has not arrived"`
	Problem   string     `json:"problem,omitempty" doc:"why nothing can be sent, such as a lost key"`
}

// NotificationRequest says who is told of what. The server never gives the
// write-only members back.
type NotificationRequest struct {
	Kind      string      `json:"kind" enum:"webhook,slack,email"`
	URL       string      `json:"url,omitempty" writeOnly:"true" maxLength:"2048" doc:"webhook, slack: where to send"`
	Secret    string      `json:"secret,omitempty" writeOnly:"true" maxLength:"200" doc:"webhook: the key that signs, whsec_ and base 64; default a new one"`
	SMTP      *MailServer `json:"smtp,omitempty" writeOnly:"true" doc:"email"`
	Pipelines []string    `json:"pipelines,omitempty" maxItems:"20" doc:"patterns of the pipelines' names, default all"`
	Events    []string    `json:"events,omitempty" maxItems:"4" enum:"pipeline,stage,action,approval" doc:"default all for a webhook, pipeline and approval for people"`
	Failed    bool        `json:"failed,omitempty" doc:"of pipelines, stages and actions only those that failed"`
}

// MailServer is a way to send mail.
type MailServer struct {
	Server   string   `json:"server" maxLength:"300" doc:"host:port"`
	Security string   `json:"security,omitempty" enum:"starttls,tls,none" doc:"default starttls"`
	From     string   `json:"from" maxLength:"300"`
	To       []string `json:"to" minItems:"1" maxItems:"50"`
	User     string   `json:"user,omitempty" maxLength:"300"`
	Password string   `json:"password,omitempty" writeOnly:"true" maxLength:"1000"`
}

// NewNotification is a subscription that has just been made. The secret is
// shown this once, and only when the server made it.
type NewNotification struct {
	Notification
	Made string `json:"madeSecret,omitempty" doc:"the key that signs a webhook"`
}

// NotificationTest is how a test went.
type NotificationTest struct {
	Delivered bool   `json:"delivered"`
	Problem   string `json:"problem,omitempty" doc:"why it did not arrive"`
}

// DeadNotification is an event that was given up.
type DeadNotification struct {
	ID           int64     `json:"id"`
	Notification string    `json:"notification"`
	Execution    string    `json:"execution"`
	Event        string    `json:"event" doc:"the event's id, as its receiver would see it"`
	Title        string    `json:"title"`
	Attempts     int       `json:"attempts"`
	Queued       time.Time `json:"queued"`
	Tried        time.Time `json:"tried" doc:"when it was given up"`
	Error        string    `json:"error"`
}

// RedeliverRequest asks for dead events to be sent again.
type RedeliverRequest struct {
	ID int64 `json:"id,omitempty" minimum:"0" doc:"one of them, default all"`
}

// Redelivered is how many events are sent again.
type Redelivered struct {
	Count int `json:"count"`
}

// Notifications lists the subscriptions by name.
func (c *Client) Notifications(ctx context.Context) (found []Notification, err error) {
	return found, c.call(ctx, http.MethodGet, "/notifications", nil, &found)
}

// AddNotification subscribes somebody to what happens from now on.
func (c *Client) AddNotification(ctx context.Context, name string, req NotificationRequest) (made NewNotification, err error) {
	return made, c.call(ctx, http.MethodPut, "/notifications/"+url.PathEscape(name), req, &made)
}

// RemoveNotification ends a subscription, and forgets what it was still to be
// sent.
func (c *Client) RemoveNotification(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/notifications/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// TestNotification sends a test at once.
func (c *Client) TestNotification(ctx context.Context, name string) (test NotificationTest, err error) {
	return test, c.call(ctx, http.MethodPost, "/notifications/"+url.PathEscape(name)+"/test", nil, &test)
}

// DeadNotifications lists events that were given up, newest first: of one
// subscription, or of all when the name is "".
func (c *Client) DeadNotifications(ctx context.Context, name string, limit int) (found []DeadNotification, err error) {
	query := url.Values{"notification": {name}, "limit": {strconv.Itoa(limit)}}
	return found, c.call(ctx, http.MethodGet, "/notifications/dead?"+query.Encode(), nil, &found)
}

// Redeliver sends dead events of a subscription again: one, or all when id is 0.
func (c *Client) Redeliver(ctx context.Context, name string, id int64) (done Redelivered, err error) {
	return done, c.call(ctx, http.MethodPost, "/notifications/"+url.PathEscape(name)+"/redeliver", RedeliverRequest{ID: id}, &done)
}
