package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
)

// roleNeeded is the extension of OpenAPI that tells what an operation needs.
const roleNeeded = "x-towline-role"

// owner is what needs the admin token itself: an access key cannot make another
// one, which would outlive its own end.
const owner = "owner"

// steering is what operators may do beside reading: everything that moves work
// which others have defined. The rest changes definitions, and is for admins.
func steering() []string {
	return []string{
		"POST /pipelines/{name}/executions",
		"POST /pipelines/{name}/stages/{stage}/rollback",
		"PUT /pipelines/{name}/stages/{stage}/transitions/{type}",
		"POST /executions/{id}/approval",
		"POST /executions/{id}/stop",
		"POST /executions/{id}/retry",
		"POST /executions/{id}/override",
		"POST /projects/{name}/builds",
		"POST /builds/{id}/stop",
		"POST /builds/{id}/retry",
		"POST /functions/{name}/invocations",
		"POST /clusters/{name}/test",
		"POST /notifications/{name}/test",
		"POST /notifications/{name}/redeliver",
	}
}

// needed is the least role for an operation.
func needed(method, path string) string {
	operation := method + " " + strings.TrimPrefix(path, "/api/v1")
	switch {
	case method == http.MethodGet, operation == "DELETE /session":
		return string(client.Viewer)
	case slices.Contains(steering(), operation):
		return string(client.Operator)
	case strings.HasPrefix(operation, "POST /access-keys"), strings.HasPrefix(operation, "DELETE /access-keys"), operation == "POST /clusters/rekey":
		return owner
	}
	return string(client.Admin)
}

// guarded is a group whose operations each tell the role that they need, and
// are refused to those who have not got it.
func guarded(api huma.API, prefix string) *huma.Group {
	group := huma.NewGroup(api, prefix)
	group.UseModifier(func(o *huma.Operation, next func(*huma.Operation)) {
		if o.Extensions == nil {
			o.Extensions = map[string]any{}
		}
		o.Extensions[roleNeeded] = needed(o.Method, o.Path)
		next(o)
	})
	group.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		role, _ := ctx.Operation().Extensions[roleNeeded].(string)
		who := caller(ctx.Context())
		switch {
		case role == owner && !who.Owner:
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, "this needs the admin token: access keys make no others")
		case role != owner && !who.Role.Allows(client.Role(role)):
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, lacks(who, client.Role(role)))
		default:
			next(ctx)
		}
	})
	return group
}
