package awsapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// CustomTypes are the action types that programs outside of Towline work on.
type CustomTypes interface {
	AddActionType(ctx context.Context, t store.CustomActionType) error
	ActionTypes(ctx context.Context) ([]store.CustomActionType, error)
	RemoveActionType(ctx context.Context, t pipeline.ActionType, now time.Time) error
}

var _ CustomTypes = (*store.DB)(nil)

// maxCustomTypes is how many custom action types there may be, as in AWS.
const maxCustomTypes = 50

// listActionTypes lists what pipelines can name: what Towline does itself, then
// custom types. They are few, and come on one page.
func (h *Handler) listActionTypes(ctx context.Context, _ wire.Call, in *codepipeline.ListActionTypesInput) (*codepipeline.ListActionTypesOutput, error) {
	if _, err := h.pages().Place(wire.List("ListActionTypes"), in.NextToken); err != nil {
		return nil, err
	}
	all, err := h.actionTypes(ctx)
	if err != nil {
		return nil, err
	}
	out := &codepipeline.ListActionTypesOutput{ActionTypes: []types.ActionType{}}
	for _, t := range all {
		if in.ActionOwnerFilter == "" || t.Id.Owner == in.ActionOwnerFilter {
			out.ActionTypes = append(out.ActionTypes, t)
		}
	}
	return out, nil
}

func (h *Handler) actionTypes(ctx context.Context) ([]types.ActionType, error) {
	var all []types.ActionType
	for _, t := range h.Types() {
		if t.Category == pipeline.CategoryRule {
			continue
		}
		all = append(all, types.ActionType{Id: typeID(t), InputArtifactDetails: anyArtifacts(), OutputArtifactDetails: anyArtifacts()})
	}
	slices.SortFunc(all, func(a, b types.ActionType) int {
		return cmp.Or(strings.Compare(string(a.Id.Category), string(b.Id.Category)), strings.Compare(*a.Id.Provider, *b.Id.Provider))
	})
	custom, err := h.CustomTypes.ActionTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range custom {
		t, err := customType(c)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// customType reads a custom type as it is kept.
func customType(c store.CustomActionType) (t types.ActionType, err error) {
	members, err := wire.Parse(c.Definition)
	if err == nil {
		err = wire.Decode(members, &t)
	}
	return t, err
}

func typeID(t pipeline.ActionType) *types.ActionTypeId {
	return &types.ActionTypeId{Category: types.ActionCategory(t.Category), Owner: types.ActionOwner(t.Owner), Provider: &t.Provider, Version: &t.Version}
}

// anyArtifacts is AWS's bound: how many an action takes is in its definition.
func anyArtifacts() *types.ArtifactDetails { return &types.ArtifactDetails{MaximumCount: 5} }

func (h *Handler) listRuleTypes(context.Context, wire.Call, *codepipeline.ListRuleTypesInput) (*codepipeline.ListRuleTypesOutput, error) {
	out := &codepipeline.ListRuleTypesOutput{RuleTypes: []types.RuleType{}}
	for _, t := range h.Types() {
		if t.Category == pipeline.CategoryRule {
			out.RuleTypes = append(out.RuleTypes, types.RuleType{
				Id:                   &types.RuleTypeId{Category: types.RuleCategoryRule, Owner: types.RuleOwner(t.Owner), Provider: &t.Provider, Version: &t.Version},
				InputArtifactDetails: anyArtifacts(),
			})
		}
	}
	slices.SortFunc(out.RuleTypes, func(a, b types.RuleType) int { return strings.Compare(*a.Id.Provider, *b.Id.Provider) })
	return out, nil
}

// customID is the type of a custom action.
func customID(category types.ActionCategory, provider, version *string) pipeline.ActionType {
	return pipeline.ActionType{Category: pipeline.Category(category), Owner: "Custom", Provider: *provider, Version: *version}
}

func (h *Handler) createActionType(ctx context.Context, _ wire.Call, in *codepipeline.CreateCustomActionTypeInput) (*codepipeline.CreateCustomActionTypeOutput, error) {
	id := customID(in.Category, in.Provider, in.Version)
	if id.Category == pipeline.CategoryApproval || id.Category == pipeline.CategoryCompute {
		return nil, wire.Faultf("ValidationException", "Custom action types are of category Source, Build, Deploy, Test or Invoke, and not of %s.", id.Category)
	}
	if len(in.Tags) > 0 {
		return nil, wire.Faultf("InvalidTagsException", "Towline keeps tags of pipelines alone.")
	}
	if in.InputArtifactDetails.MinimumCount > in.InputArtifactDetails.MaximumCount || in.OutputArtifactDetails.MinimumCount > in.OutputArtifactDetails.MaximumCount {
		return nil, wire.Faultf("ValidationException", "The minimum of artifacts is greater than the maximum.")
	}
	all, err := h.CustomTypes.ActionTypes(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) >= maxCustomTypes {
		return nil, wire.Faultf("LimitExceededException", "There are %d custom action types, and there cannot be more.", len(all))
	}
	made := types.ActionType{
		Id: typeID(id), InputArtifactDetails: in.InputArtifactDetails, OutputArtifactDetails: in.OutputArtifactDetails,
		ActionConfigurationProperties: in.ConfigurationProperties, Settings: in.Settings,
	}
	text, err := wire.Encode(made)
	if err != nil {
		return nil, err
	}
	err = h.CustomTypes.AddActionType(ctx, store.CustomActionType{Type: id, Definition: json.RawMessage(text), Created: h.Now()})
	if errors.Is(err, store.ErrExists) {
		return nil, wire.Faultf("ActionTypeAlreadyExistsException", "There is or was an action type of category '%s', provider '%s' and version '%s': choose another version.", id.Category, id.Provider, id.Version)
	}
	return &codepipeline.CreateCustomActionTypeOutput{ActionType: &made}, err
}

// deleteActionType is content with a type that is gone already, as AWS is.
func (h *Handler) deleteActionType(ctx context.Context, _ wire.Call, in *codepipeline.DeleteCustomActionTypeInput) (*nothing, error) {
	err := h.CustomTypes.RemoveActionType(ctx, customID(in.Category, in.Provider, in.Version), h.Now())
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return &nothing{}, err
}

// custom finds a custom type that a worker asks about.
func (h *Handler) custom(ctx context.Context, id *types.ActionTypeId) (types.ActionType, error) {
	if id.Owner == types.ActionOwnerCustom {
		all, err := h.CustomTypes.ActionTypes(ctx)
		if err != nil {
			return types.ActionType{}, err
		}
		for _, c := range all {
			if c.Type == customID(id.Category, id.Provider, id.Version) {
				return customType(c)
			}
		}
	}
	return types.ActionType{}, wire.Faultf("ActionTypeNotFoundException", "There is no custom action type of category '%s', provider '%s' and version '%s'.", id.Category, aws.ToString(id.Provider), aws.ToString(id.Version))
}
