package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/lambda"
)

// runtimeVariable is how Lambda tells a program that it is a function.
const runtimeVariable = "AWS_LAMBDA_RUNTIME_API"

// lambdaArgs are the arguments of a call: one without any by Lambda means that
// this program is the function.
func lambdaArgs(args []string) []string {
	if len(args) == 0 && os.Getenv(runtimeVariable) != "" {
		return []string{"lambda"}
	}
	return args
}

func (c *command) lambdaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lambda",
		Short: "Be a Lambda function that deploys to Kubernetes",
		Long: `Be a Lambda function that deploys to Kubernetes, for an action of the type
Invoke/Lambda in AWS CodePipeline or here. Lambda starts this program by itself
when it is a function's bootstrap: see "towline lambda package". The action's
UserParameters are JSON with the keys of a deploy section, and beside them:
config, artifact, commit, region, role.`,
		Example: `  towline lambda package --output-file function.zip
  towline function put deploy --runtime provided.al2023 --zip function.zip --timeout 15m`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serveLambda(cmd.Context()) },
	}
	cmd.AddCommand(c.lambdaPackageCommand())
	return cmd
}

func (c *command) serveLambda(ctx context.Context) error {
	if os.Getenv(runtimeVariable) == "" {
		return errors.New("this is not Lambda: make a function of this program with \"towline lambda package\", or deploy from here with \"towline deploy\"")
	}
	config, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("find AWS's configuration: %w", err)
	}
	function := &lambda.Function{
		Source: lambda.Bucket{Config: config}, Reporter: lambda.NewPipelines(config),
		Connect:  lambda.Clusters{Getenv: os.Getenv, Dir: os.TempDir()}.Connect,
		Deployer: func(config deploy.Config) lambda.Deployer { return deploy.New(config) },
		Dir:      os.TempDir(), Log: c.Out, Now: time.Now,
	}
	function.Serve(ctx)
	return nil
}

func (c *command) lambdaPackageCommand() *cobra.Command {
	var given lambda.Package
	to := ""
	cmd := &cobra.Command{
		Use:   "package",
		Short: "Pack this program as a function's zip",
		Long: `Pack this program as a function's zip, for the runtime provided.al2023. A
kubeconfig that goes along can be read by everybody who can read the function's
code; for EKS none is needed, and others may lie in Secrets Manager (variable
TOWLINE_KUBECONFIG_SECRET of the function).`,
		Example: `  towline lambda package --output-file function.zip
  aws lambda create-function --function-name deploy --runtime provided.al2023 --handler bootstrap --zip-file fileb://function.zip --role ARN --timeout 900 --memory-size 512`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return c.packLambda(given, to) },
	}
	cmd.Flags().StringVar(&to, "output-file", "function.zip", "file to write")
	cmd.Flags().StringVar(&given.Executable, "executable", "", "program for Linux, when this one is not or is for another architecture")
	cmd.Flags().StringVar(&given.Kubeconfig, "kubeconfig", "", "kubeconfig that the function deploys with")
	return cmd
}

func (c *command) packLambda(given lambda.Package, to string) (err error) {
	if given.Executable == "" {
		if runtime.GOOS != "linux" {
			return usageError{errors.New("this program is not for Linux: name one that is with --executable")}
		}
		if given.Executable, err = executable(); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(filepath.Dir(to), ".function-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone when all went well
	architecture, err := given.Write(file)
	info, statErr := file.Stat()
	if err := cmp.Or(err, statErr, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), to); err != nil {
		return err
	}
	if c.output == "json" {
		return c.printJSON(map[string]any{"file": to, "architecture": architecture, "size": info.Size()})
	}
	fmt.Fprintf(c.Out, "%s: %.1f MB, runtime provided.al2023, architecture %s\n", to, float64(info.Size())/1e6, architecture)
	return nil
}
