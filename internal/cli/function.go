package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/function"
)

func (c *command) functionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "function",
		Short: "Keep and invoke Lambda functions",
		Long: `Keep and invoke Lambda functions: handlers in Python, Node.js or Java, or a
program of your own named bootstrap, as they were written for AWS. Actions and
rules invoke them with CodePipeline's job event. They run on the server's
machine, which they are not isolated from.`,
	}
	cmd.AddCommand(
		c.functionPutCommand(),
		&cobra.Command{
			Use: "list", Short: "List the functions", Example: "  towline function list", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listFunctions(cmd.Context()) },
		},
		c.onNamed("show", "Show a function, without the values of its environment", "  towline function show deploy", c.showFunction),
		c.functionInvokeCommand(),
		c.functionLogsCommand(),
		c.onNamed("delete", "Forget a function; what has been invoked ends as it would", "  towline function delete deploy", func(ctx context.Context, api *client.Client, name string) error {
			if err := api.DeleteFunction(ctx, name); err != nil {
				return err
			}
			fmt.Fprintf(c.Err, "function %s is deleted\n", name)
			return nil
		}),
	)
	return cmd
}

func (c *command) listFunctions(ctx context.Context) error {
	return list[client.Function]{
		fetch:  (*client.Client).Functions,
		header: []string{"NAME", "RUNTIME", "HANDLER", "TIMEOUT", "MEMORY", "REVISION", "UPDATED"},
		row: func(f client.Function) []string {
			c.warnOf(f)
			return []string{f.Name, f.Runtime, f.Handler, strconv.Itoa(f.Timeout) + "s", strconv.Itoa(f.Memory) + " MB", strconv.Itoa(f.Revision), f.Updated.UTC().Format(time.DateTime)}
		},
	}.print(ctx, c)
}

func (c *command) warnOf(f client.Function) {
	if f.Problem != "" {
		fmt.Fprintf(c.Err, "towline: warning: function %s: %s\n", f.Name, f.Problem)
	}
}

func (c *command) showFunction(ctx context.Context, api *client.Client, name string) error {
	f, err := api.Function(ctx, name)
	if err != nil {
		return err
	}
	return c.printFunction(f)
}

func (c *command) printFunction(f client.Function) error {
	c.warnOf(f)
	if c.output == "json" {
		return c.printJSON(f)
	}
	fmt.Fprintf(c.Out, "%s  revision %d  %s", f.Name, f.Revision, f.Runtime)
	if f.Handler != "" {
		fmt.Fprintf(c.Out, "  %s", f.Handler)
	}
	fmt.Fprintf(c.Out, "\n  timeout %ds  memory %d MB  code %s (%d bytes)\n", f.Timeout, f.Memory, f.Digest, f.Size)
	if len(f.Variables) > 0 {
		fmt.Fprintf(c.Out, "  environment %s\n", strings.Join(f.Variables, ", "))
	}
	if f.Description != "" {
		fmt.Fprintf(c.Out, "  %s\n", f.Description)
	}
	return nil
}

func (c *command) functionInvokeCommand() *cobra.Command {
	payload := ""
	cmd := &cobra.Command{
		Use:   "invoke NAME",
		Short: "Give an event to a function and print its answer",
		Long: `Give an event to a function, wait, and print its answer. What it has printed last
goes to standard error. The exit code is 3 when the function failed.`,
		Example: `  towline function invoke hello --payload '{"name": "Ada"}'
  towline function invoke hello --payload - < event.json`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			event := []byte(payload)
			if payload == "-" {
				if event, err = io.ReadAll(io.LimitReader(c.In, function.MostPayload+1)); err != nil {
					return err
				}
			}
			if len(event) > function.MostPayload {
				return fmt.Errorf("the event is larger than %d bytes: hand over where it lies instead", function.MostPayload)
			}
			if !json.Valid(event) {
				return usageError{errors.New("the event is no JSON: a text is written in double quotes")}
			}
			done, err := api.InvokeFunction(cmd.Context(), args[0], event)
			if err != nil {
				return err
			}
			return c.printInvoked(done)
		},
	}
	cmd.Flags().StringVar(&payload, "payload", "null", "event as JSON; - reads standard input")
	return cmd
}

func (c *command) printInvoked(done client.Invoked) error {
	if c.output == "json" {
		if err := c.printJSON(done); err != nil {
			return err
		}
	} else {
		for _, line := range done.Log {
			fmt.Fprintln(c.Err, printable(line))
		}
		fmt.Fprintf(c.Err, "%s: %.0f ms, ready after %.0f ms, %d MB\n", done.RequestID, done.Seconds*1000, done.Init*1000, done.Memory>>20)
		fmt.Fprintln(c.Out, string(done.Payload))
	}
	if done.Error != "" {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *command) functionLogsCommand() *cobra.Command {
	follow := false
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what a function has printed, of all its invocations",
		Example: `  towline function logs deploy
  towline function logs -f deploy`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			log, err := api.FunctionLog(cmd.Context(), args[0], 0, follow)
			if err != nil {
				return err
			}
			defer log.Close()
			return eachLine(log, func(line string) error {
				_, err := io.WriteString(c.logOut(), line)
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	return cmd
}

// functionFlags are those of towline function put.
type functionFlags struct {
	request  client.FunctionRequest
	timeout  time.Duration
	dir, zip string
	env      []string
	envFile  string
}

func (c *command) functionPutCommand() *cobra.Command {
	given := &functionFlags{}
	cmd := &cobra.Command{
		Use:   "put NAME",
		Short: "Make a function, or change one",
		Long: `Make a function, or change one: what is not given stays as it is. The code is a
directory or a zip, as AWS takes it. The environment is encrypted at rest and
not shown again; keep secrets out of the command line by --env-file.`,
		Example: `  towline function put hello --runtime python3.12 --handler app.handler --dir hello/
  towline function put deploy --runtime provided.al2023 --zip function.zip --timeout 10m --env-file deploy.env
  towline function put hello --memory 1024`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.putFunction(cmd.Context(), args[0], given) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&given.request.Runtime, "runtime", "", strings.Join(function.Runtimes(), ", ")+", or a version such as python3.12")
	flags.StringVar(&given.request.Handler, "handler", "", "what is called: app.handler, com.example.App::handleRequest")
	flags.StringVar(&given.dir, "dir", "", "directory of the code")
	flags.StringVar(&given.zip, "zip", "", "zip of the code")
	flags.DurationVar(&given.timeout, "timeout", 0, "longest that one invocation may take, up to 15m; default 1m")
	flags.IntVar(&given.request.Memory, "memory", 0, fmt.Sprintf("MB that its processes may use together, default %d", function.DefaultMemory))
	flags.StringArrayVar(&given.env, "env", nil, "NAME=VALUE of its environment, which is replaced as a whole; repeated for more")
	flags.StringVar(&given.envFile, "env-file", "", "file with lines NAME=VALUE, of the same; - reads standard input")
	flags.StringVar(&given.request.Description, "description", "", "what it is for")
	cmd.MarkFlagsMutuallyExclusive("dir", "zip")
	return cmd
}

func (c *command) putFunction(ctx context.Context, name string, given *functionFlags) error {
	if given.timeout%time.Second != 0 {
		return usageError{fmt.Errorf("--timeout %s: give whole seconds", given.timeout)}
	}
	given.request.Timeout = int(given.timeout / time.Second)
	if err := c.functionEnvironment(given); err != nil {
		return err
	}
	code, closing, err := functionCode(given)
	if err != nil {
		return err
	}
	defer closing()
	api, err := c.client()
	if err != nil {
		return err
	}
	put, err := api.PutFunction(ctx, name, given.request, code)
	if err != nil {
		return err
	}
	return c.printFunction(put)
}

// functionEnvironment reads the variables of the flags and of the file.
func (c *command) functionEnvironment(given *functionFlags) error {
	lines := given.env
	if given.envFile != "" {
		text, err := c.readSmall(given.envFile)
		if err != nil {
			return err
		}
		lines = append(strings.Split(string(text), "\n"), lines...)
	}
	for _, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" {
			return usageError{errors.New("a variable of the environment is no NAME=VALUE")}
		}
		if given.request.Environment == nil {
			given.request.Environment = map[string]string{}
		}
		given.request.Environment[key] = value
	}
	return nil
}

// readSmall reads a file, or standard input for "-".
func (c *command) readSmall(name string) ([]byte, error) {
	in := c.In
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, 1<<20))
}

// functionCode is the zip of the flags, nil when they name none.
func functionCode(given *functionFlags) (code io.Reader, closing func(), err error) {
	switch {
	case given.zip != "":
		file, err := os.Open(given.zip)
		if err != nil {
			return nil, nil, err
		}
		return file, func() { _ = file.Close() }, nil
	case given.dir != "":
		dir, err := filepath.Abs(given.dir)
		if err != nil {
			return nil, nil, err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, nil, fmt.Errorf("%s is no directory: name a zip with --zip", given.dir)
		}
		reader, writer := io.Pipe()
		go func() { _ = writer.CloseWithError(zipDirectory(writer, dir)) }()
		return reader, func() { _ = reader.Close() }, nil
	}
	return nil, func() {}, nil
}
