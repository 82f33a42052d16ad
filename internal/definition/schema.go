package definition

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// SchemaID is where the schema says it lives.
const SchemaID = "https://towline.dev/schemas/towline.schema.json"

// Schema is the JSON Schema of towline.yaml, for editors to complete and check
// with. It is made from the same types that Parse reads.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		Anonymous:                 true,
		ExpandedStruct:            true,
		AllowAdditionalProperties: false,
		// Fields are optional unless their tag says that they are not.
		RequiredFromJSONSchemaTags: true,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return ""
			}
			f, _ := t.FieldByName(field)
			return f.Tag.Get("doc")
		},
	}
	schema := r.Reflect(&file{})
	schema.ID, schema.Title = SchemaID, "Towline pipeline"
	return json.MarshalIndent(schema, "", "  ")
}
