// Package kubectl is the deployment method kubectl: each write of a deployment
// is exactly one kubectl command, which the log shows, so that a person could
// have typed it. Its noun is the Method. It stands where *kube.Cluster stands
// in the method api, has the same methods and answers with the same errors;
// deploy chooses between the two.
//
// It only writes. Reading, waiting, the lease and the journal stay with kube:
// they are not what a person would repeat. It knows no plan, no strategy and no
// revision.
//
// Objects go to kubectl's standard input and credentials into a file without a
// name, never into its arguments, which every user of the machine may read.
//
// Beyond what the API requests of the method api need, the credentials must
// allow to get the scale subresource of what is scaled: kubectl reads before it
// patches.
package kubectl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/towline/towline/internal/kube"
)

// oldest is the first kubectl that has all that the commands use: apply with
// validation by the server, patch of a subresource with a field manager.
const oldest = "1.27.0"

// versionTime is how long kubectl may take to say its version.
const versionTime = 30 * time.Second

// Config is what a Method needs to know.
type Config struct {
	Cluster *kube.Cluster
	// Path is the kubectl to run, default the first on $PATH.
	Path string
}

// Method writes to one cluster by kubectl. It is safe for concurrent use.
type Method struct {
	cluster *kube.Cluster
	path    string
}

// New finds kubectl and asks it for its version. An error says what is wrong
// with it and how to mend that; the cluster is not asked.
func New(ctx context.Context, config Config) (*Method, error) {
	name := config.Path
	if name == "" {
		name = "kubectl"
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("the method kubectl needs the program kubectl %s or later, and there is none on $PATH: "+
			"install it from https://kubernetes.io/docs/tasks/tools/, or deploy with the method api", oldest)
	}
	if err != nil {
		return nil, fmt.Errorf("use kubectl: %w", err)
	}
	if err := checkVersion(ctx, path); err != nil {
		return nil, err
	}
	sweep()
	return &Method{cluster: config.Cluster, path: path}, nil
}

func checkVersion(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, versionTime, fmt.Errorf("no answer within %s", versionTime))
	defer cancel()
	command := prepare(ctx, path, "version", "--client", "-o", "json")
	said, err := command.Output()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w%s", path, err, reason(err))
	}
	found, err := parseVersion(said)
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", path, err)
	}
	if found.LessThan(version.MustParseGeneric(oldest)) {
		return fmt.Errorf("%s is kubectl %s, and the method kubectl needs %s or later: "+
			"install a newer one from https://kubernetes.io/docs/tasks/tools/, or deploy with the method api", path, found, oldest)
	}
	return nil
}

// reason is what a program that failed has said.
func reason(err error) string {
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && len(failed.Stderr) > 0 {
		return ": " + string(failed.Stderr)
	}
	return ""
}

// parseVersion reads what `kubectl version --client -o json` prints.
func parseVersion(said []byte) (*version.Version, error) {
	var answer struct {
		ClientVersion struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err := json.Unmarshal(said, &answer); err != nil {
		return nil, fmt.Errorf("it answers with something else: %w", err)
	}
	found, err := version.ParseGeneric(answer.ClientVersion.GitVersion)
	if err != nil {
		return nil, fmt.Errorf("it calls itself %q: %w", answer.ClientVersion.GitVersion, err)
	}
	return found, nil
}
