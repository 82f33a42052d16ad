package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits of a definition are CodePipeline's, so that whatever is accepted
// here can be carried there.
const (
	leastStages      = 2
	mostStages       = 50
	mostStageActions = 50
	mostActions      = 500
	mostRunOrder     = 999
	mostTimeout      = 86400 // minutes
	mostVariables    = 50
	mostDescription  = 200 // characters
)

// The limits of what is looked at, against definitions that are made to be
// expensive.
const (
	mostArtifacts = 50  // that an action takes, and that it makes
	mostProblems  = 100 // nobody reads more
)

// The patterns of names are CodePipeline's too.
var (
	plainName     = regexp.MustCompile(`^[A-Za-z0-9.@_-]{1,100}$`)
	onlyDots      = regexp.MustCompile(`^\.+$`)
	artifactName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	namespaceName = regexp.MustCompile(`^[A-Za-z0-9@_-]{1,100}$`)
	variableName  = regexp.MustCompile(`^[A-Za-z0-9@_-]{1,128}$`)
	providerName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,35}$`)
	versionName   = regexp.MustCompile(`^[A-Za-z0-9_-]{0,9}$`)
)

// categories are those that an action may have.
var categories = []string{
	string(CategorySource), string(CategoryBuild), string(CategoryTest), string(CategoryDeploy),
	string(CategoryInvoke), string(CategoryApproval), string(CategoryCompute),
}

// Check is all that is wrong with a definition in itself, none when there is
// nothing. Whether there is code for its action types, and what their
// configurations have to say, is for others to judge. Paths are those of the
// JSON form, such as stages[1].actions[0].inputs[0].
func (p Pipeline) Check() Problems {
	c := checker{pipeline: p}
	c.name("name", "pipeline", p.Name, InvalidStructure)
	c.oneOf("executionMode", string(p.Mode), InvalidStructure, string(ModeSuperseded), string(ModeQueued), string(ModeParallel))
	c.triggers()
	c.variables()
	if c.stages() {
		c.artifacts()
		c.references()
	}
	return c.found
}

// full tells that enough has been found.
func (c *checker) full() bool { return len(c.found) >= mostProblems }

// checker gathers what is wrong with one definition.
type checker struct {
	finder
	pipeline Pipeline
}

// wrong reports a problem for which CodePipeline has an exception.
func (c *checker) wrong(path string, exception Exception, hint, format string, args ...any) {
	if c.full() {
		return
	}
	c.add(path, hint, format, args...)
	c.found[len(c.found)-1].Exception = exception
}

func (c *checker) oneOf(path, value string, exception Exception, words ...string) {
	if c.full() {
		return
	}
	before := len(c.found)
	c.finder.oneOf(path, value, words...)
	for i := range c.found[before:] {
		c.found[before+i].Exception = exception
	}
}

// name checks a name that becomes part of paths and of the names of things that
// are made, which is why it cannot be dots alone.
func (c *checker) name(path, what, name string, exception Exception) {
	switch {
	case name == "":
		c.wrong(path, exception, "give it one", "the %s has no name", what)
	case !plainName.MatchString(name), onlyDots.MatchString(name):
		c.wrong(path, exception, "use up to 100 letters, digits and . @ - _", "%s is not the name of a %s", quote(name), what)
	}
}

func (c *checker) variables() {
	seen := map[string]bool{}
	for i, v := range c.pipeline.Variables {
		at := fmt.Sprintf("variables[%d]", i)
		if i == mostVariables {
			c.wrong(at, InvalidValue, "remove some", "variable %s is the %s; a pipeline has at most %d", quote(v.Name), ordinal(i+1), mostVariables)
		}
		switch {
		case !variableName.MatchString(v.Name):
			c.wrong(at+".name", InvalidValue, "use up to 128 letters, digits and @ - _", "%s is not the name of a variable", quote(v.Name))
		case seen[v.Name]:
			c.wrong(at+".name", InvalidStructure, "choose another name", "variable %s is declared twice", quote(v.Name))
		}
		seen[v.Name] = true
		if v.Default != nil && utf8.RuneCountInString(*v.Default) > variableValue {
			c.wrong(at+".defaultValue", InvalidValue, "keep long texts in the source", "the default of variable %s has more than %d characters", quote(v.Name), variableValue)
		}
		if utf8.RuneCountInString(v.Description) > mostDescription {
			c.wrong(at+".description", InvalidValue, "shorten it", "the description of variable %s has more than %d characters", quote(v.Name), mostDescription)
		}
	}
}

// stages checks the stages one by one, and tells whether there are so few that
// they can be compared with each other.
func (c *checker) stages() bool {
	stages := c.pipeline.Stages
	if len(stages) < leastStages {
		c.wrong("stages", InvalidStructure, "add a stage: the first one holds the sources and the others what is done with them", "the pipeline has %s; the fewest is %d", count(len(stages), "stage"), leastStages)
	}
	seen, actions := map[string]bool{}, 0
	for i, s := range stages {
		at := fmt.Sprintf("stages[%d]", i)
		if i == mostStages {
			c.wrong(at, InvalidStructure, "put actions into one stage with different run orders, or make a second pipeline", "stage %s is the %s; a pipeline has at most %d", quote(s.Name), ordinal(i+1), mostStages)
		}
		c.name(at+".name", "stage", s.Name, InvalidStage)
		if seen[s.Name] && s.Name != "" {
			c.wrong(at+".name", InvalidStage, "choose another name", "the name of stage %s is taken", quote(s.Name))
		}
		seen[s.Name] = true
		c.stage(i, s, at)
		if before := actions; before <= mostActions && before+len(s.Actions) > mostActions {
			over := mostActions - before
			c.wrong(fmt.Sprintf("%s.actions[%d]", at, over), InvalidStructure, "make a second pipeline", "action %s of stage %s is the %s; a pipeline has at most %d", quote(s.Actions[over].Name), quote(s.Name), ordinal(mostActions+1), mostActions)
		}
		actions += len(s.Actions)
	}
	return len(stages) <= mostStages && actions <= mostActions
}

// stage checks what a stage says without regard to the others.
func (c *checker) stage(index int, s Stage, at string) {
	if len(s.Actions) == 0 {
		c.wrong(at+".actions", InvalidStage, "add an action or remove the stage", "stage %s has no actions", quote(s.Name))
	}
	seen := map[string]bool{}
	for i, a := range s.Actions {
		here := fmt.Sprintf("%s.actions[%d]", at, i)
		if i == mostStageActions {
			c.wrong(here, InvalidStage, "move actions to another stage", "action %s of stage %s is the %s; a stage has at most %d", quote(a.Name), quote(s.Name), ordinal(i+1), mostStageActions)
		}
		c.name(here+".name", "action", a.Name, InvalidAction)
		if seen[a.Name] && a.Name != "" {
			c.wrong(here+".name", InvalidAction, "choose another name", "the name of action %s is taken in stage %s", quote(a.Name), quote(s.Name))
		}
		seen[a.Name] = true
		c.action(index, s, a, here)
	}
	for _, kind := range []ConditionKind{BeforeEntry, OnSuccess, OnFailure} {
		if condition := s.Condition(kind); condition != nil {
			c.condition(index, s, kind, *condition, at+"."+member(kind))
		}
	}
}

func (c *checker) action(stage int, s Stage, a Action, at string) {
	about := fmt.Sprintf("action %s of stage %s", quote(a.Name), quote(s.Name))
	c.actionType(a.Type, about, at+".type", categories)
	switch source := a.Type.Category == CategorySource; {
	case stage == 0 && !source:
		c.wrong(at+".type", InvalidStructure, "move it to a later stage", "%s is of category %s; the first stage holds source actions and nothing else", about, quote(string(a.Type.Category)))
	case stage > 0 && source:
		c.wrong(at+".type", InvalidStructure, "move it to the first stage", "%s is a source; sources are in the first stage alone", about)
	}
	if a.RunOrder < 1 || a.RunOrder > mostRunOrder {
		c.wrong(at+".runOrder", InvalidAction, fmt.Sprintf("count from 1 to %d", mostRunOrder), "the runOrder of %s is %d", about, a.RunOrder)
	}
	c.rest(a.Timeout, a.Configuration, about, at, InvalidAction)
	switch {
	case a.Namespace == "":
	case !namespaceName.MatchString(a.Namespace):
		c.wrong(at+".namespace", InvalidAction, "use up to 100 letters, digits and @ - _", "%s is not a namespace", quote(a.Namespace))
	}
	for _, side := range []struct {
		name  string
		names []string
	}{{"inputs", a.Inputs}, {"outputs", a.Outputs}} {
		if len(side.names) > mostArtifacts {
			c.wrong(fmt.Sprintf("%s.%s[%d]", at, side.name, mostArtifacts), InvalidAction, "put files together in one artifact", "%s has %d %s; an action has at most %d", about, len(side.names), side.name, mostArtifacts)
		}
	}
	if manual := a.Type.Manual(); manual || a.Type.Category == CategorySource {
		if len(a.Inputs) > 0 {
			c.wrong(at+".inputs", InvalidAction, "remove them", "%s takes no input artifacts", about)
		}
		if manual && len(a.Outputs) > 0 {
			c.wrong(at+".outputs", InvalidAction, "remove them", "%s makes no artifacts", about)
		}
	}
}

func (c *checker) actionType(t ActionType, about, at string, wanted []string) {
	if !slices.Contains(wanted, string(t.Category)) {
		c.wrong(at+".category", InvalidAction, "choose "+orList(wanted), "%s has the unknown category %s", about, quote(string(t.Category)))
	}
	if !providerName.MatchString(t.Provider) {
		c.wrong(at+".provider", InvalidAction, "use up to 35 letters, digits and - _", "%s has the provider %s", about, quote(t.Provider))
	}
	if !versionName.MatchString(t.Version) {
		c.wrong(at+".version", InvalidAction, "use up to 9 letters, digits and - _", "%s has the version %s", about, quote(t.Version))
	}
}

// rest checks what actions and rules have in common.
func (c *checker) rest(timeout int, configuration json.RawMessage, about, at string, exception Exception) {
	if timeout < 0 || timeout > mostTimeout {
		c.wrong(at+".timeoutInMinutes", exception, fmt.Sprintf("give minutes from 1 to %d, or leave it out", mostTimeout), "the timeout of %s is %d", about, timeout)
	}
	if len(configuration) > 0 && (!json.Valid(configuration) || !bytes.HasPrefix(bytes.TrimSpace(configuration), []byte("{"))) {
		c.wrong(at+".configuration", exception, "write an object", "the configuration of %s is not a JSON object", about)
	}
}

// quote shows a name as it was written, cut when it is very long.
func quote(name string) string {
	const most = 120
	if utf8.RuneCountInString(name) > most {
		name = string([]rune(name)[:most]) + "..."
	}
	return fmt.Sprintf("%q", name)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ordinal is 1st, 2nd, 3rd, 4th, 11th.
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// listed is a list of names, or "none".
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
