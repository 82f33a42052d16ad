package definition

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// SchemaID is where the schema says it lives.
const SchemaID = "https://towline.dev/schemas/towline.schema.json"

// Schema is the JSON Schema of towline.yaml, for editors to complete and check
// with. It is made from the same types that Parse reads.
func Schema() ([]byte, error) {
	r := reflector()
	r.ExpandedStruct = true
	schema := r.Reflect(&file{})
	schema.ID, schema.Title = SchemaID, "Towline pipeline"
	return json.MarshalIndent(schema, "", "  ")
}

func reflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:                 true,
		AllowAdditionalProperties: false,
		// Fields are optional unless their tag says that they are not.
		RequiredFromJSONSchemaTags: true,
		// The name of an instance of a generic type is no part of a reference.
		Namer: func(t reflect.Type) string {
			outer, inner, generic := strings.Cut(t.Name(), "[")
			if !generic {
				return ""
			}
			return outer + "_" + strings.TrimSuffix(inner[strings.LastIndexByte(inner, '.')+1:], "]")
		},
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return ""
			}
			f, _ := t.FieldByName(field)
			return f.Tag.Get("doc")
		},
	}
}

// schemaOf is the schema of a type that has several forms: any of theirs.
func schemaOf(value formed) *jsonschema.Schema {
	var all []*jsonschema.Schema
	for _, form := range value.forms() {
		r := reflector()
		r.DoNotReference = true
		schema := r.ReflectFromType(form)
		schema.Version = ""
		all = append(all, schema)
	}
	if len(all) == 1 {
		return all[0]
	}
	return &jsonschema.Schema{AnyOf: all}
}
