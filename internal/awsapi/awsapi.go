// Package awsapi answers AWS's own clients: the aws command, the SDKs and what
// is made with them. Its noun is the operation of CodePipeline's API. It stands
// beside the native API, between the port and the engine: what room wire has let
// in, it turns into the words of package pipeline, and the answer back into
// AWS's. It decides nothing about pipelines, and it does not know the form of a
// pipeline's declaration, which it hands on as it came. Its inner rooms answer
// other services: s3 those that read and write artifacts.
package awsapi

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
)

// Config is what a Handler needs.
type Config struct {
	Keys        access.Keys
	Definitions Definitions
	Tags        Tags
	Records     Records
	Starts      Starts
	Decisions   Decisions
	Jobs        Jobs
	Workers     Workers
	Handover    access.Handover
	CustomTypes CustomTypes
	// Secret tells which members of configurations are not shown. Nil is
	// pipeline.IsSecretMember.
	Secret   pipeline.SecretMember
	Webhooks Webhooks
	// WebhookURL is where others reach the webhook of a path.
	WebhookURL func(path string) string
	// Types tells the types of actions and rules that Towline carries out
	// itself.
	Types func() []pipeline.ActionType
	// Others are services that are answered at the same address, such as
	// CodeBuild.
	Others []wire.API
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
	api  wire.API
	wire *wire.Handler
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
	h := &Handler{Config: config}
	h.api = wire.API{Name: "codepipeline", Target: "CodePipeline_20150709", Version: "2015-07-09", Model: m, Operations: h.operations()}
	h.wire = wire.New(
		wire.Config{Keys: config.Keys, Region: config.Region, Account: config.Account, Now: config.Now, Logger: config.Logger},
		append([]wire.API{h.api}, config.Others...)...,
	)
	return h, nil
}

var _ http.Handler = (*Handler)(nil)

// ServeHTTP answers one request of an API, or with a path value "path" one
// message to a webhook: mux.Handle("POST /hooks/aws/{path}", handler).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("path") != "" {
		h.serveWebhook(w, r)
		return
	}
	h.wire.ServeHTTP(w, r)
}

// pages makes the tokens of the lists' pages.
func (h *Handler) pages() wire.Pages { return h.PageKey }
