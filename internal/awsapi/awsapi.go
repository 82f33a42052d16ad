// Package awsapi answers AWS's own clients: the aws command, the SDKs and what
// is made with them. Its noun is the operation, one request of CodePipeline's
// API in JSON 1.1, signed with SigV4 by an access key. It stands beside the
// native API, between the port and the engine: it checks who asks and what is
// asked, turns it into the words of package pipeline, and the answer back into
// AWS's. It decides nothing about pipelines, and it does not know the form of a
// pipeline's declaration, which it hands on as it came.
package awsapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// Key is an access key, opened.
type Key struct {
	ID     string
	Secret string
	Role   client.Role
	Note   string // what it is for
}

// Keys are the access keys that may sign.
type Keys interface {
	// Key opens one. The error wraps store.ErrNotFound when there is none. It
	// is called for each request, so that a key which is revoked is so at once.
	Key(ctx context.Context, id string) (Key, error)
	// Used records that a request with the key has been let in.
	Used(ctx context.Context, id string) error
}

// Config is what a Handler needs.
type Config struct {
	Keys        Keys
	Definitions Definitions
	Tags        Tags
	Records     Records
	Starts      Starts
	Decisions   Decisions
	Jobs        Jobs
	Workers     Workers
	CustomTypes CustomTypes
	Webhooks    Webhooks
	Deliveries  Deliveries
	// WebhookURL is where others reach the webhook of a path.
	WebhookURL func(path string) string
	// Types tells the types of actions and rules that Towline carries out
	// itself.
	Types func() []pipeline.ActionType
	// Region is the only one that signatures may name, such as eu-west-1. When
	// it is "" they may name any, and names of resources carry the same.
	Region string
	// Account stands in the names of resources: 12 digits.
	Account string
	// PageKey makes the tokens of pages. It must be the same after a restart,
	// and in every replica.
	PageKey []byte
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handler answers requests of AWS's clients. It is safe for concurrent use.
type Handler struct {
	Config
	model *model
	table map[string]operation
}

// New makes a Handler. The error is about the configuration.
func New(config Config) (*Handler, error) {
	if !regexp.MustCompile(`^[0-9]{12}$`).MatchString(config.Account) {
		return nil, errors.New("the AWS account in names of resources must have 12 digits")
	}
	if len(config.PageKey) < 16 {
		return nil, errors.New("the key of page tokens is shorter than 16 bytes")
	}
	m, err := loadModel()
	if err != nil {
		return nil, err
	}
	h := &Handler{Config: config, model: m}
	h.table = h.operations()
	return h, nil
}

var _ http.Handler = (*Handler)(nil)
