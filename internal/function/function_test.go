package function_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/function"
)

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	good := function.Function{Name: "f", Runtime: "python3.12", Handler: "app.handler"}.Complete()
	for name, c := range map[string]struct {
		change func(f *function.Function)
		path   string // of the one problem, "" for none
	}{
		"as it is":                     {func(*function.Function) {}, ""},
		"a name with a dot":            {func(f *function.Function) { f.Name = "../f" }, "name"},
		"no runtime":                   {func(f *function.Function) { f.Runtime = "" }, "runtime"},
		"a runtime that is not there":  {func(f *function.Function) { f.Runtime = "ruby3.3" }, "runtime"},
		"any version of a language":    {func(f *function.Function) { f.Runtime = "python3.x" }, ""},
		"a program":                    {func(f *function.Function) { f.Runtime, f.Handler = "provided.al2023", "" }, ""},
		"a program with AWS's handler": {func(f *function.Function) { f.Runtime, f.Handler = "provided.al2023", "bootstrap" }, ""},
		"Java by its method":           {func(f *function.Function) { f.Runtime, f.Handler = "java21", "com.example.App::handleRequest" }, ""},
		"Java by its class":            {func(f *function.Function) { f.Runtime, f.Handler = "java17", "com.example.App" }, ""},
		"Node by AWS's name":           {func(f *function.Function) { f.Runtime, f.Handler = "nodejs22.x", "src/index.handler" }, ""},
		"no handler":                   {func(f *function.Function) { f.Handler = "" }, "handler"},
		"a handler that is an option":  {func(f *function.Function) { f.Handler = "-c print" }, "handler"},
		"a handler without a function": {func(f *function.Function) { f.Handler = "app" }, "handler"},
		"a long handler":               {func(f *function.Function) { f.Handler = strings.Repeat("a", 200) + ".b" }, "handler"},
		"no time":                      {func(f *function.Function) { f.Timeout = time.Millisecond }, "timeout"},
		"too much time":                {func(f *function.Function) { f.Timeout = time.Hour }, "timeout"},
		"too little memory":            {func(f *function.Function) { f.Memory = 64 }, "memory"},
		"a variable of the runtime's":  {func(f *function.Function) { f.Environment = map[string]string{"AWS_LAMBDA_X": "1"} }, "environment.AWS_LAMBDA_X"},
		"a key of AWS's":               {func(f *function.Function) { f.Environment = map[string]string{"AWS_ACCESS_KEY_ID": "1"} }, "environment.AWS_ACCESS_KEY_ID"},
		"a variable with a wrong name": {func(f *function.Function) { f.Environment = map[string]string{"A=B": "1"} }, "environment.A=B"},
		"a large environment":          {func(f *function.Function) { f.Environment = map[string]string{"A": strings.Repeat("x", 5000)} }, "environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good
			c.change(&f)
			problems := f.Check()
			switch {
			case c.path == "" && len(problems) > 0:
				t.Error(problems)
			case c.path != "" && (len(problems) != 1 || problems[0].Path != c.path || problems[0].Hint == ""):
				t.Errorf("problems %+v, want one of %s", problems, c.path)
			}
		})
	}
}

func TestAFunctionIsFoundByItsARN(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		"deploy": "deploy", "deploy:$LATEST": "deploy", "arn:aws:lambda:eu-west-1:123456789012:function:deploy": "deploy",
		"arn:aws:lambda:eu-west-1:123456789012:function:deploy:$LATEST": "deploy",
		"": "", "deploy:live": "", "../deploy": "", "arn:aws:s3:::bucket": "", "arn:aws:lambda:eu-west-1:123456789012:layer:deploy": "",
	} {
		if got, err := function.NameOf(reference); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", reference, got, err, want)
		}
	}
}

func FuzzNameOf(f *testing.F) {
	for _, seed := range []string{"deploy", "arn:aws:lambda:eu-west-1:123456789012:function:deploy:$LATEST", "a:b:c:d:e:f:g:h", "arn:::::function:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		name, err := function.NameOf(reference)
		if err != nil {
			return
		}
		if again, err := function.NameOf(name); err != nil || again != name || !filepath.IsLocal(name) {
			t.Errorf("%q became %q, which becomes %q, %v", reference, name, again, err)
		}
	})
}

// The jar is made by go generate; an old one would be noticed by nobody else.
func TestTheJavaShimIsCompiledFromItsSources(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("shim/towline/*.java")
	if err != nil || len(sources) == 0 {
		t.Fatal(err, sources)
	}
	sum := sha256.New()
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	kept, err := os.ReadFile("shim/shim.sum")
	if err != nil || strings.TrimSpace(string(kept)) != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("%v: the sources have changed since: run go generate ./internal/function", err)
	}
}
