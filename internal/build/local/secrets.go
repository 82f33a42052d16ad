package local

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/secret"
)

// Secrets are files with values, by the names that builds ask for them.
type Secrets map[string]string

var _ build.Secrets = Secrets(nil)

// Secret reads the file of a value, or the member of it that is asked for.
func (s Secrets) Secret(_ context.Context, want build.SecretRef) (string, error) {
	ref := secret.Reference{Names: []string{want.Name}}
	var err error
	switch want.Kind {
	case build.ParameterSecret:
		ref, err = secret.ParseParameter(want.Name)
	case build.ManagerSecret:
		ref, err = secret.ParseSecret(want.Name)
	case build.OwnSecret:
	}
	if err != nil {
		return "", err
	}
	for _, name := range ref.Names {
		if file, ok := s[name]; ok {
			return s.read(name, file, ref)
		}
	}
	return "", &secret.Error{Message: "no value is given for " + ref.Names[0], Hint: fmt.Sprintf("write --secret %s=FILE", ref.Names[0])}
}

func (Secrets) read(name, file string, ref secret.Reference) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", &secret.Error{Message: fmt.Sprintf("read the value of %s: %v", name, err)}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, secret.MaxValue+1))
	if err != nil {
		return "", &secret.Error{Message: fmt.Sprintf("read the value of %s: %v", name, err)}
	}
	if len(text) > secret.MaxValue {
		return "", &secret.Error{Message: fmt.Sprintf("the value of %s in %s is too long: %d bytes are the most", name, file, secret.MaxValue)}
	}
	return ref.Pick(string(text))
}
