package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/lambda"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// functions are what actions and rules invoke. Their environments lie in the
// database sealed, their code with the artifacts.
type functions struct {
	store     *store.DB
	keys      *secret.Keyring
	artifacts *artifact.Store
	runner    *function.Runner
	dir       string // of their logs and of invocations by hand
	now       func() time.Time
	log       *slog.Logger
	// changing is held from reading a function until its next revision is kept,
	// so that of two changes at once neither undoes the other. This process is
	// the only one that changes functions.
	changing sync.Mutex
}

var (
	_ server.Functions   = (*functions)(nil)
	_ function.Functions = (*functions)(nil)
	_ lambda.Functions   = (*functions)(nil)
)

// lambda answers AWS's clients about the functions.
func (a *App) lambda() *lambda.Handler {
	return lambda.New(lambda.Config{Keys: a.signers(), Functions: a.functions, Account: awsAccount, Now: time.Now, Logger: a.options.Logger})
}

// openFunctions makes the room of functions ready to run some.
func (a *App) openFunctions(keys *secret.Keyring) (*functions, error) {
	dir := filepath.Join(a.options.Server.Data, "functions")
	runner, err := function.New(function.Config{
		Program: []string{a.options.Executable, "function-runner"}, Dir: dir, Code: a.artifacts,
		Endpoint: func() string { return a.URL() }, Account: awsAccount, Log: a.options.Logger,
	})
	if err != nil {
		return nil, err
	}
	f := &functions{store: a.store, keys: keys, artifacts: a.artifacts, runner: runner, dir: dir, now: time.Now, log: a.options.Logger}
	for _, name := range []string{"logs", "invocations"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o711); err != nil {
			return nil, fmt.Errorf("open functions: %w", err)
		}
	}
	return f, f.tidy()
}

// functionSettings are those of a function that are no secret.
type functionSettings struct {
	Description string `json:"description,omitempty"`
	Runtime     string `json:"runtime"`
	Handler     string `json:"handler,omitempty"`
	Timeout     int    `json:"timeout"` // seconds
	Memory      int    `json:"memory"`
}

func functionLabel(name string) string { return "function " + name }

// open makes a function of what is stored.
func (f *functions) open(stored store.Function) (function.Function, error) {
	var settings functionSettings
	if err := json.Unmarshal(stored.Settings, &settings); err != nil {
		return function.Function{}, fmt.Errorf("read function %s: %w", stored.Name, err)
	}
	opened := function.Function{
		Name: stored.Name, Description: settings.Description, Runtime: settings.Runtime, Handler: settings.Handler,
		Timeout: time.Duration(settings.Timeout) * time.Second, Memory: settings.Memory,
		Code: stored.Code, Size: stored.Size, Revision: stored.Revision, Created: stored.Created, Updated: stored.Updated,
	}
	if stored.Sealed == nil {
		return opened, nil
	}
	text, err := f.keys.Unseal(functionLabel(stored.Name), stored.Sealed)
	if err == nil {
		err = json.Unmarshal(text, &opened.Environment)
	}
	return opened, err
}

// Function returns the function of a name.
func (f *functions) Function(ctx context.Context, name string) (function.Function, error) {
	stored, err := f.store.Function(ctx, name)
	if err != nil {
		return function.Function{}, err
	}
	return f.open(stored)
}

func (f *functions) show(stored store.Function) client.Function {
	opened, err := f.open(stored)
	shown := client.Function{
		Name: opened.Name, Description: opened.Description, Runtime: opened.Runtime, Handler: opened.Handler,
		Timeout: int(opened.Timeout / time.Second), Memory: opened.Memory, Variables: slices.Sorted(maps.Keys(opened.Environment)),
		Digest: opened.Code, Size: opened.Size, Revision: opened.Revision, Created: opened.Created, Updated: opened.Updated,
	}
	if err = cmp.Or(err, f.runner.Ready(opened)); err != nil {
		shown.Problem = err.Error()
	}
	return shown
}

// List shows the functions by name.
func (f *functions) List(ctx context.Context) ([]client.Function, error) {
	all, err := f.store.Functions(ctx)
	if err != nil {
		return nil, err
	}
	found := []client.Function{}
	for _, stored := range all {
		found = append(found, f.show(stored))
	}
	return found, nil
}

// Get shows one function.
func (f *functions) Get(ctx context.Context, name string) (client.Function, error) {
	stored, err := f.store.Function(ctx, name)
	if err != nil {
		return client.Function{}, err
	}
	return f.show(stored), nil
}

// Put makes a function, or changes what is given of one.
func (f *functions) Put(ctx context.Context, name string, req client.FunctionRequest, code io.ReaderAt, size int64) (client.Function, error) {
	// What is wrong with the request is told before its code is unpacked.
	if _, err := f.wanted(ctx, name, req, code != nil); err != nil {
		return client.Function{}, err
	}
	var digest string
	var packed int64
	if code != nil {
		var err error
		if digest, packed, err = f.pack(ctx, code, size); err != nil {
			return client.Function{}, err
		}
	}
	stored, err := f.change(ctx, name, req, digest, packed)
	if err != nil {
		return client.Function{}, err
	}
	if err := f.tidy(); err != nil {
		f.log.Warn("tidy up after a change of a function", "function", name, "error", err)
	}
	return f.show(stored), nil
}

// change keeps the next revision of a function, with other code if there is a
// digest.
func (f *functions) change(ctx context.Context, name string, req client.FunctionRequest, digest string, size int64) (store.Function, error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	wanted, err := f.wanted(ctx, name, req, digest != "")
	if err != nil {
		return store.Function{}, err
	}
	if digest != "" {
		wanted.Code, wanted.Size = digest, size
	}
	stored, err := f.seal(wanted)
	if err != nil {
		return stored, err
	}
	return f.store.PutFunction(ctx, stored)
}

// wanted is the function that a request asks for, with or without other code.
// What is wrong with it is an error of pipeline.Problems.
func (f *functions) wanted(ctx context.Context, name string, req client.FunctionRequest, coded bool) (function.Function, error) {
	there, err := f.Function(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		there, err = function.Function{Name: name}, nil
	}
	if err != nil {
		return there, err
	}
	there.Description, there.Runtime = cmp.Or(req.Description, there.Description), cmp.Or(req.Runtime, there.Runtime)
	there.Handler, there.Memory = cmp.Or(req.Handler, there.Handler), cmp.Or(req.Memory, there.Memory)
	there.Timeout = cmp.Or(time.Duration(req.Timeout)*time.Second, there.Timeout)
	if req.Environment != nil {
		there.Environment = req.Environment
	}
	there = there.Complete()
	problems := there.Check()
	if there.Code == "" && !coded {
		problems = append(problems, pipeline.Problem{Path: "code", Message: "a new function needs code", Hint: "give it with --dir or --zip"})
	}
	if len(problems) > 0 {
		return there, problems
	}
	return there, nil
}

// pack keeps a zip as an artifact: checked, and the same for the same files.
// What is wrong with the zip is an error of pipeline.Problems.
func (f *functions) pack(ctx context.Context, code io.ReaderAt, size int64) (digest string, packed int64, err error) {
	dir, err := os.MkdirTemp(f.dir, ".code-*")
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err = f.artifacts.Unzip(ctx, code, size, dir); err == nil {
		digest, packed, err = f.artifacts.Pack(ctx, dir, nil)
	}
	if err != nil && ofZip(ctx, err) {
		err = pipeline.Problems{{Path: "code", Message: err.Error(), Hint: "give a zip as AWS takes it"}}
	}
	return digest, packed, err
}

// namesRefused are the system's answers to names that no files can have, alone
// or beside each other.
var namesRefused = []syscall.Errno{syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST, syscall.EINVAL, syscall.EILSEQ, syscall.ELOOP}

// ofZip tells whether a zip that cannot be kept is itself the reason, and not
// this machine: a full disk, or a server that stops.
func ofZip(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	number, ok := errors.AsType[syscall.Errno](err)
	return !ok || slices.Contains(namesRefused, number)
}

// seal makes of a function what is stored.
func (f *functions) seal(wanted function.Function) (store.Function, error) {
	settings, err := json.Marshal(functionSettings{
		Description: wanted.Description, Runtime: wanted.Runtime, Handler: wanted.Handler, Timeout: int(wanted.Timeout / time.Second), Memory: wanted.Memory,
	})
	if err != nil {
		return store.Function{}, err
	}
	stored := store.Function{Name: wanted.Name, Settings: settings, Code: wanted.Code, Size: wanted.Size, Updated: f.now()}
	if len(wanted.Environment) == 0 {
		return stored, nil
	}
	text, err := json.Marshal(wanted.Environment)
	if err != nil {
		return stored, err
	}
	stored.Sealed, err = f.keys.Seal(functionLabel(wanted.Name), text)
	return stored, err
}

// reseal seals every environment with the newest key, all or none.
func (f *functions) reseal(ctx context.Context) error {
	return f.store.ResealFunctions(ctx, func(name string, sealed []byte) ([]byte, error) {
		text, err := f.keys.Unseal(functionLabel(name), sealed)
		if err != nil {
			return nil, err
		}
		return f.keys.Seal(functionLabel(name), text)
	})
}

// Delete forgets a function and its log.
func (f *functions) Delete(ctx context.Context, name string) error {
	f.changing.Lock()
	err := f.store.DeleteFunction(ctx, name)
	f.changing.Unlock()
	if err != nil {
		return err
	}
	log := f.logFile(name)
	for _, path := range []string{log, log + ".old"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the log of function %s: %w", name, err)
		}
	}
	return nil
}

// Invoke gives an event to a function. It has no credentials then: those are
// for jobs.
func (f *functions) Invoke(ctx context.Context, name string, event json.RawMessage) (client.Invoked, error) {
	wanted, err := f.Function(ctx, name)
	if err != nil {
		return client.Invoked{}, err
	}
	log, err := f.LogFile(name)
	if err != nil {
		return client.Invoked{}, err
	}
	id := function.NewID()
	dir := filepath.Join(f.dir, "invocations", id)
	defer func() { _ = os.RemoveAll(dir) }()
	outcome, err := f.runner.Invoke(ctx, function.Invocation{ID: id, Function: wanted, Event: event, Dir: dir, LogFiles: []string{log}})
	if err != nil {
		return client.Invoked{}, err
	}
	done := client.Invoked{
		RequestID: id, Payload: outcome.Payload, Seconds: outcome.Duration.Seconds(), Init: outcome.Init.Seconds(), Memory: outcome.Memory, Log: outcome.Tail,
	}
	if outcome.Error != nil {
		done.Error, done.Payload = outcome.Error.Type, outcome.Error.Payload()
	}
	return done, nil
}

// mostFunctionLog is how large a function's log may become before it is put
// aside, in bytes.
const mostFunctionLog = 16 << 20

func (f *functions) logFile(name string) string { return filepath.Join(f.dir, "logs", name+".log") }

// LogFile is where what a function prints is kept. A large one is put aside,
// in the place of the one before.
func (f *functions) LogFile(name string) (string, error) {
	if _, err := function.NameOf(name); err != nil {
		return "", err
	}
	path := f.logFile(name)
	info, err := os.Stat(path)
	if err == nil && info.Size() > mostFunctionLog {
		err = os.Rename(path, path+".old")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("open the log of function %s: %w", name, err)
	}
	return path, nil
}

// tidy removes what nobody needs any more: code that is not invoked, and what
// a crash has left of invocations and uploads.
func (f *functions) tidy() error {
	now := f.now()
	for _, pattern := range []string{".code-*", filepath.Join("invocations", "*")} {
		old, err := filepath.Glob(filepath.Join(f.dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range old {
			if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > 24*time.Hour {
				_ = os.RemoveAll(path)
			}
		}
	}
	return f.runner.Tidy(now)
}
