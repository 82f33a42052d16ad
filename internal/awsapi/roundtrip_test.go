package awsapi

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
)

// TestEveryOperationHasARowAndIsInTheModel holds the table to the API.
func TestEveryOperationHasARowAndIsInTheModel(t *testing.T) {
	t.Parallel()
	h := setup(t).handler
	want := slices.Sorted(maps.Keys(h.api.Model.Operations))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(h.api.Operations))); diff != "" || len(want) != 44 {
		t.Errorf("%d operations in the model, table (-want +got):\n%s", len(want), diff)
	}
	for name, op := range h.api.Operations {
		if op.Needs == "" || (op.Run == nil) == (op.Why == "") {
			t.Errorf("%s: needs %q, run %v, why %q", name, op.Needs, op.Run != nil, op.Why)
		}
		reading := strings.HasPrefix(name, "List") || strings.HasPrefix(name, "Get")
		// Details of jobs hold credentials of artifacts.
		if reading != (op.Needs == client.Viewer) && !strings.Contains(name, "JobDetails") {
			t.Errorf("%s is for %s", name, op.Needs)
		}
	}
}

// method is an operation of the SDK's client, found by its name.
func method(t *testing.T, c *codepipeline.Client, name string) (call reflect.Value, in, out reflect.Type) {
	t.Helper()
	call = reflect.ValueOf(c).MethodByName(name)
	if !call.IsValid() {
		t.Fatalf("the SDK has no %s", name)
	}
	return call, call.Type().In(1).Elem(), call.Type().Out(0).Elem()
}

// TestTheModelKnowsTheMembersOfTheSDK compares the names that the codec gives
// to the fields of each request with those of the API's model.
func TestTheModelKnowsTheMembersOfTheSDK(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, op := range b.handler.api.Model.Operations {
		_, in, _ := method(t, b.sdk(adminID, secretKey), name)
		sameMembers(t, b.handler.api.Model, op.Input, in, name)
	}
}

func sameMembers(t *testing.T, m *wire.Model, shapeName string, of reflect.Type, path string) {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	s := m.Shapes[shapeName]
	switch s.Type {
	case "list":
		sameMembers(t, m, s.Member, of.Elem(), path+"[]")
	case "map":
		sameMembers(t, m, s.Value, of.Elem(), path+"{}")
	case "structure":
		var got []string
		for i := range of.NumField() {
			if name, ok := wire.MemberOf(of, i); ok {
				got = append(got, name)
				if inner, known := s.Members[name]; known {
					sameMembers(t, m, inner, of.Field(i).Type, path+"."+name)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(s.Members)), got); diff != "" {
			t.Errorf("%s, members (-model +SDK):\n%s", path, diff)
		}
	}
}

// TestWhatTheSDKSendsArrivesAndWhatIsAnsweredIsRead calls all 44 operations
// through the SDK's own client, with every member of every struct filled, and
// compares what comes out at either end of the wire.
func TestWhatTheSDKSendsArrivesAndWhatIsAnsweredIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name := range b.handler.api.Model.Operations {
		t.Run(name, func(t *testing.T) {
			call, in, out := method(t, b.sdk(adminID, secretKey), name)
			sent, answer := fill(in, 0), fill(out, 0)
			var got reflect.Value
			b.handler.api.Operations[name] = wire.Operation{Needs: client.Viewer, Run: func(_ context.Context, _ wire.Call, request map[string]any) (any, error) {
				got = reflect.New(in)
				return answer.Addr().Interface(), wire.Decode(request, got.Interface())
			}}
			// The values here are not of the form that the API wants.
			unchecked := b.handler.api.Model.Operations[name]
			unchecked.Input = "anything"
			b.handler.api.Model.Shapes["anything"] = &wire.Shape{Type: "structure"}
			b.handler.api.Model.Operations[name] = unchecked
			results := call.Call([]reflect.Value{reflect.ValueOf(t.Context()), sent.Addr()})
			if err, _ := reflect.TypeAssert[error](results[1]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sent.Addr().Interface(), got.Interface(), shapes()); diff != "" {
				t.Errorf("request (-sent +arrived):\n%s", diff)
			}
			if diff := cmp.Diff(answer.Addr().Interface(), results[0].Interface(), shapes()); diff != "" {
				t.Errorf("answer (-given +read):\n%s", diff)
			}
		})
	}
}

// shapes compares structs of the SDK by what they say.
func shapes() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreTypes(middleware.Metadata{}),
		cmp.FilterPath(func(p cmp.Path) bool { return strings.HasPrefix(p.Last().String(), ".noSmithy") }, cmp.Ignore()),
	}
}

// fill makes a value in which nothing is nil or empty.
func fill(of reflect.Type, depth int) reflect.Value {
	v := reflect.New(of).Elem()
	switch {
	case of == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(monday))
	case of == reflect.TypeFor[middleware.Metadata]():
	case of.Kind() == reflect.Pointer:
		v.Set(fill(of.Elem(), depth).Addr())
	case of.Kind() == reflect.Struct:
		for i := range of.NumField() {
			if of.Field(i).IsExported() {
				v.Field(i).Set(fill(of.Field(i).Type, depth+1))
			}
		}
	case of.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, fill(of.Elem(), depth+1), fill(of.Elem(), depth+1)))
	case of.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(of))
		v.SetMapIndex(reflect.ValueOf("key \"é\" <&>").Convert(of.Key()), fill(of.Elem(), depth+1))
	case of.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text-%d", depth))
	case of.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(7)
	}
	return v
}
