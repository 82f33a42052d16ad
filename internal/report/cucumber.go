package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// readCucumber reads the JSON that Cucumber writes: a list of features. Each
// scenario is a test. It fails with its first step that failed, that no code
// stands behind, or that is ambiguous.
func readCucumber(r io.Reader, into *found) error {
	d := json.NewDecoder(r)
	token, err := d.Token()
	if err != nil {
		return noJSON(err)
	}
	if token != json.Delim('[') {
		return errors.New("it is not a list of features, as Cucumber's json formatter writes it")
	}
	for n := 1; d.More(); n++ {
		var f feature
		if err := d.Decode(&f); err != nil {
			return fmt.Errorf("feature %d: %w", n, noJSON(err))
		}
		f.tests(into)
	}
	if _, err = d.Token(); err != nil {
		return noJSON(err)
	}
	return nil
}

// noJSON says what an error of the JSON decoder means.
func noJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

type feature struct {
	URI, Name string
	Elements  []scenario
}

type scenario struct {
	Name, Type    string
	Before, After []step
	Steps         []step
}

type step struct {
	Keyword, Name string
	Before, After []step // hooks of the step
	Result        struct {
		Status   string
		Duration json.Number
		Message  string `json:"error_message"`
	}
}

func (f feature) tests(into *found) {
	var background scenario // its steps are those of the scenario that follows
	for _, s := range f.Elements {
		if s.Type == "background" {
			background = s
			continue
		}
		test := pipeline.TestCase{Suite: f.Name, Name: s.Name, Status: pipeline.TestPassed}
		if test.Suite == "" {
			test.Suite = f.URI
		}
		for _, steps := range [][]step{background.Before, background.Steps, background.After, s.Before, s.Steps, s.After} {
			for _, step := range steps {
				step.tell(&test)
			}
		}
		background = scenario{}
		into.test(test)
	}
}

// tell adds a step to its test.
func (s step) tell(test *pipeline.TestCase) {
	for _, hook := range s.Before {
		hook.tell(test)
	}
	test.Seconds += s.seconds()
	switch status := strings.ToLower(s.Result.Status); status {
	case "failed", "ambiguous", "undefined":
		if test.Status != pipeline.TestFailing {
			test.Status, test.Message = pipeline.TestFailing, explain(strings.TrimSpace(s.Keyword+s.Name)+": "+status, s.Result.Message)
		}
	case "skipped", "pending":
		if test.Status == pipeline.TestPassed {
			test.Status = pipeline.TestSkipped
		}
	}
	for _, hook := range s.After {
		hook.tell(test)
	}
}

// seconds is the duration of a step: nanoseconds in most implementations,
// seconds with a fraction in some.
func (s step) seconds() float64 {
	n, err := s.Result.Duration.Float64()
	if err != nil {
		return 0
	}
	if strings.ContainsRune(string(s.Result.Duration), '.') {
		return n
	}
	return n / 1e9
}
