package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towline/towline/internal/codepipeline/template"
)

const around = `
Parameters:
  Name: {Type: String, Default: web}
  Many: {Type: CommaDelimitedList, Default: "a, b ,c"}
  Absent: {Type: String}
Mappings: {Sizes: {big: {cpu: 4, names: [x, y]}}}
Conditions:
  Web: !Equals [!Ref Name, web]
  Shop: !Equals [!Ref Name, shop]
  Unknown: !Equals [!Ref Absent, x]
  Both: !And [!Condition Web, !Condition Shop]
  Either: !Or [!Condition Unknown, !Condition Web]
  Open: !Or [!Condition Unknown, !Condition Shop]
  Closed: !And [!Condition Unknown, !Condition Shop]
  NotUnknown: !Not [!Condition Unknown]
Resources:
  Bucket: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Sub "${Name}-files"}}
  Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: t}}
  Hidden: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Ref Absent}}
  R:
    Type: Test
    Properties:
      Value: `

func TestFunctions(t *testing.T) {
	t.Parallel()
	for expression, c := range map[string]struct {
		want       string // as JSON
		unresolved int
	}{
		"plain":                          {`"plain"`, 0},
		"12":                             {"12", 0},
		`"12"`:                           {`"12"`, 0},
		"true":                           {"true", 0},
		"0x1F":                           {`"0x1F"`, 0}, // a number that JSON has not
		"2012-10-17":                     {`"2012-10-17"`, 0},
		"!Ref Name":                      {`"web"`, 0},
		"{Ref: Name}":                    {`"web"`, 0},
		"!Ref Many":                      {`["a","b","c"]`, 0},
		"!Ref Absent":                    {`"${Absent}"`, 1},
		"!Ref AWS::Partition":            {`"aws"`, 0},
		"!Ref AWS::Region":               {`"eu-west-1"`, 0},
		"!Ref AWS::StackId":              {`"${AWS::StackId}"`, 1},
		"!Ref Bucket":                    {`"web-files"`, 0},
		"!Ref Topic":                     {`"${Topic}"`, 1}, // an ARN
		"!Ref Hidden":                    {`"${Hidden}"`, 1},
		"!Ref Nobody":                    {`"${Nobody}"`, 1},
		"[a, !Ref AWS::NoValue, b]":      {`["a","b"]`, 0},
		"{a: !Ref AWS::NoValue, b: 1}":   {`{"b":1}`, 0},
		"!GetAtt Bucket.Arn":             {`"${Bucket.Arn}"`, 1},
		"!GetAtt [Bucket, Arn]":          {`"${Bucket.Arn}"`, 1},
		`!Sub "a-${Name}-${!Name}-$"`:    {`"a-web-${Name}-$"`, 0},
		`!Sub "${Bucket}/${Bucket.Arn}"`: {`"web-files/${Bucket.Arn}"`, 1},
		`!Sub ["${x}${Name}", {x: !Join [".", [a, b]]}]`:       {`"a.bweb"`, 0},
		`!Join ["/", !Ref Many]`:                               {`"a/b/c"`, 0},
		`!Join ["/", [!Ref Name, 7]]`:                          {`"web/7"`, 0},
		`!Join ["/", !GetAtt Bucket.List]`:                     {`"${Join ...}"`, 2},
		`!Split [",", "a,b"]`:                                  {`["a","b"]`, 0},
		`!Select [1, !Split [",", "a,b"]]`:                     {`"b"`, 0},
		`!Select ["2", !Ref Many]`:                             {`"c"`, 0},
		`!Select [5, !Ref Many]`:                               {`"${Select ...}"`, 1},
		"!FindInMap [Sizes, big, cpu]":                         {"4", 0},
		"!FindInMap [Sizes, big, names]":                       {`["x","y"]`, 0},
		"!FindInMap [Sizes, !Ref Absent, cpu]":                 {`"${FindInMap Sizes.Absent.cpu}"`, 2},
		"!FindInMap [Sizes, small, cpu, {DefaultValue: none}]": {`"none"`, 0},
		"!If [Web, a, b]":                                      {`"a"`, 0},
		"!If [Shop, a, b]":                                     {`"b"`, 0},
		"!If [Both, a, b]":                                     {`"b"`, 0},
		"!If [Either, a, b]":                                   {`"a"`, 1}, // one part settles it, and the other is named
		"!If [Open, a, b]":                                     {`"b"`, 2},
		"!If [Closed, a, b]":                                   {`"b"`, 1},
		"!If [NotUnknown, a, b]":                               {`"b"`, 2},
		"!If [Web, !If [Shop, a, {b: c}], d]":                  {`{"b":"c"}`, 0},
		"!Base64 hello":                                        {`"aGVsbG8="`, 0},
		"!ImportValue net-vpc":                                 {`"${ImportValue net-vpc}"`, 1},
		"!GetAZs eu-west-1":                                    {`"${GetAZs eu-west-1}"`, 1},
		"{Fn::Transform: {Name: m}}":                           {`"${Transform ...}"`, 1},
		`"{{resolve:ssm:/x}}"`:                                 {`"{{resolve:ssm:/x}}"`, 1},
		"{Condition: {StringEquals: {a: b}}}":                  {`{"Condition":{"StringEquals":{"a":"b"}}}`, 0}, // of a policy
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			parsed, err := template.Parse([]byte(strings.TrimPrefix(around, "\n") + expression + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			value, unresolved, err := parsed.Evaluate("R", map[string]string{"AWS::Region": "eu-west-1"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(template.JSON(value.(*template.Object).Values["Value"]))
			if err != nil || string(got) != c.want || len(unresolved) != c.unresolved {
				t.Errorf("got %s (%v), want %s; unresolved %d: %v", got, err, c.want, c.unresolved, unresolved)
			}
			for _, u := range unresolved {
				if u.Line == 0 || u.Path == "" || u.Why == "" {
					t.Errorf("not said where or why: %+v", u)
				}
			}
		})
	}
}
