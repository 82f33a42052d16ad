package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/checkout"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/definition"
)

// greetings are what the example says, one release after the other.
var greetings = []struct{ word, language string }{
	{"Hello", "English"}, {"Bonjour", "French"}, {"Hallo", "German"}, {"Hola", "Spanish"}, {"Ciao", "Italian"},
}

// workingTree is a clone that the demo commits to and pushes from.
type workingTree struct {
	dir        string
	repository string
	fresh      bool // nothing has been pushed yet
	env        []string
}

func treeDir(data string) string { return filepath.Join(demoData(data), "web") }

// workingTree creates the repository and the clone, or finds those of an
// earlier run.
func (d *demo) workingTree(ctx context.Context) (*workingTree, error) {
	t := &workingTree{dir: treeDir(d.command.data), repository: "web"}
	var answer *client.Error
	_, err := d.api.CreateRepository(ctx, t.repository)
	if err != nil && (!errors.As(err, &answer) || answer.Status != http.StatusConflict) {
		return nil, err
	}
	if err := t.credentials(d.command.data); err != nil {
		return nil, err
	}
	executions, err := d.api.Executions(ctx, t.repository, 0, 1)
	if err != nil && (!errors.As(err, &answer) || answer.Status != http.StatusNotFound) {
		return nil, err
	}
	t.fresh = len(executions) == 0
	if _, err := os.Stat(t.dir); err == nil {
		return t, nil
	}
	d.say("Create repository %s from the example", t.repository)
	return t, d.createTree(ctx, t)
}

// createTree makes the clone beside its place and moves it there when it is
// whole.
func (d *demo) createTree(ctx context.Context, t *workingTree) error {
	exe, err := executable()
	if err != nil {
		return err
	}
	whole := t.dir
	t.dir += ".new"
	if err := d.copyExample(t.dir); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"config", "user.name", "Towline demo"},
		{"config", "user.email", "demo@towline.invalid"},
		{"remote", "add", "origin", d.api.URL() + "/git/" + t.repository + ".git"},
		// A push by hand finds the token through this program, so that it
		// stands in no file of the clone.
		{"config", "credential.helper", "!" + shellQuote(exe) + " --data " + shellQuote(d.command.data) + " git-credential"},
		{"config", "push.autoSetupRemote", "true"},
		{"add", "--all"},
		{"commit", "--quiet", "--message", "Greet in English"},
	} {
		if _, err := t.git(ctx, args...); err != nil {
			return err
		}
	}
	if err := os.Rename(t.dir, whole); err != nil {
		return err
	}
	t.dir = whole
	return nil
}

func (d *demo) copyExample(to string) error {
	from := d.example
	if from == "" {
		tree, err := checkout.Dir()
		if err != nil {
			return fmt.Errorf("%w; or name the example with --example DIR", err)
		}
		from = filepath.Join(tree, "examples", "go-web")
	}
	if _, err := os.Stat(filepath.Join(from, "towline.yaml")); err != nil {
		return fmt.Errorf("find the example: %w", err)
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	if d.context == "" {
		return nil
	}
	return deployTo(filepath.Join(to, definition.FileName), d.context)
}

// deployTo names the cluster in a definition that leaves it to the server.
func deployTo(path, cluster string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	named := strings.Replace(string(text), "        deploy:\n", fmt.Sprintf("        deploy:\n          cluster: %q\n", cluster), 1)
	if named == string(text) {
		return fmt.Errorf("name cluster %q in %s: it has no deploy action", cluster, path)
	}
	if _, err := definition.Parse([]byte(named), "web"); err != nil {
		return fmt.Errorf("name cluster %q in %s: %w", cluster, path, err)
	}
	return os.WriteFile(path, []byte(named), 0o600)
}

// credentials lets git sign in: with a header from the environment, which
// other users cannot read, unlike a command line.
func (t *workingTree) credentials(data string) error {
	_, token, err := config.ReadEndpoint(demoData(data))
	t.env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Bearer "+token)
	return err
}

// push pushes main and returns its commit.
func (t *workingTree) push(ctx context.Context) (string, error) {
	if _, err := t.git(ctx, "push", "--quiet", "origin", "main"); err != nil {
		return "", err
	}
	commit, err := t.git(ctx, "rev-parse", "HEAD")
	return strings.TrimSpace(commit), err
}

// change lets the example greet in the next language, and commits that.
func (t *workingTree) change(ctx context.Context) (message string, err error) {
	path := filepath.Join(t.dir, "site.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for i, g := range greetings {
		line := fmt.Sprintf("const greeting = %q", g.word)
		if !bytes.Contains(text, []byte(line)) {
			continue
		}
		next := greetings[(i+1)%len(greetings)]
		text = bytes.Replace(text, []byte(line), fmt.Appendf(nil, "const greeting = %q", next.word), 1)
		message = "Greet in " + next.language
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
		_, err = t.git(ctx, "commit", "--quiet", "--all", "--message", message)
		return message, err
	}
	// Somebody has edited the example: any commit will do.
	_, err = t.git(ctx, "commit", "--quiet", "--all", "--allow-empty", "--message", "Release again")
	return "Release again", err
}

func (t *workingTree) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", t.dir}, args...)...)
	cmd.Env = t.env
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, strings.TrimSpace(talk.String()))
	}
	return out.String(), nil
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
