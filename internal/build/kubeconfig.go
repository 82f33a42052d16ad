package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Kubeconfigs makes credentials for the commands of builds. It is called once
// for each run of a build that asks for one, by many builds at once.
type Kubeconfigs interface {
	// Kubeconfig returns a kubeconfig file, as JSON, with a token for the
	// service account that is wanted, which ends after about that time.
	Kubeconfig(ctx context.Context, want pipeline.Kubeconfig, lasting time.Duration) ([]byte, error)
}

// kubeconfigSpare is how much longer a credential lasts than its build may take:
// a Pod has to start first.
const kubeconfigSpare = 10 * time.Minute

// kubeconfig is what makes the kubeconfig of a build, nil when it asks for none.
func (a Action) kubeconfig(want *pipeline.Kubeconfig, timeout time.Duration) func(context.Context) ([]byte, error) {
	if want == nil {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		if a.Kubeconfigs == nil {
			return nil, errors.New("make the build's kubeconfig: this server knows no clusters")
		}
		text, err := a.Kubeconfigs.Kubeconfig(ctx, *want, timeout+kubeconfigSpare)
		if err != nil {
			return nil, fmt.Errorf("make the build's kubeconfig: %w", err)
		}
		return text, nil
	}
}

// TokenOf is the token in a kubeconfig that Kubeconfigs has made, "" when it has
// none: what must not be seen in the log.
func TokenOf(kubeconfig []byte) string {
	var file struct {
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if json.Unmarshal(kubeconfig, &file) != nil || len(file.Users) == 0 {
		return ""
	}
	return file.Users[0].User.Token
}
