// Package amazon gets secrets that AWS keeps: parameters of Systems Manager and
// values of Secrets Manager, with the credentials that the SDK finds by itself.
// It decides nothing about who may have them.
package amazon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/towline/towline/internal/secret"
)

// Vault gets secrets from AWS. It is safe for concurrent use.
type Vault struct {
	mu     sync.Mutex
	config *aws.Config // nil until it has been loaded
}

// load finds region and credentials, and goes on looking when there were none:
// they may be there the next time.
func (v *Vault) load(ctx context.Context) (aws.Config, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.config != nil {
		return *v.config, nil
	}
	found, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("find the server's AWS configuration: %w", err)
	}
	if found.Region == "" {
		return aws.Config{}, errors.New("find the server's AWS configuration: it names no region: set AWS_REGION in the server's environment")
	}
	v.config = &found
	return found, nil
}

// Parameter is the value of a parameter, decrypted. What AWS refuses is a
// *secret.Error.
func (v *Vault) Parameter(ctx context.Context, r secret.Reference) (string, error) {
	settings, err := v.load(ctx)
	if err != nil {
		return "", err
	}
	out, err := ssm.NewFromConfig(settings).GetParameter(ctx, &ssm.GetParameterInput{Name: &r.ID, WithDecryption: aws.Bool(true)})
	if missing, ok := errors.AsType[*ssmtypes.ParameterNotFound](err); ok {
		return "", notFound("parameter", r.ID, settings.Region, missing)
	}
	if err != nil {
		return "", explain("parameter "+r.ID, "ssm:GetParameter", err)
	}
	if out.Parameter == nil || out.Parameter.Value == nil {
		return "", fmt.Errorf("get parameter %s from AWS: the answer has no value", r.ID)
	}
	return *out.Parameter.Value, nil
}

// Secret is the value of a secret, the whole of it. What AWS refuses is a
// *secret.Error.
func (v *Vault) Secret(ctx context.Context, r secret.Reference) (string, error) {
	settings, err := v.load(ctx)
	if err != nil {
		return "", err
	}
	in := &secretsmanager.GetSecretValueInput{SecretId: &r.ID}
	if r.Stage != "" {
		in.VersionStage = &r.Stage
	}
	if r.Version != "" {
		in.VersionId = &r.Version
	}
	out, err := secretsmanager.NewFromConfig(settings).GetSecretValue(ctx, in)
	if missing, ok := errors.AsType[*secretstypes.ResourceNotFoundException](err); ok {
		return "", notFound("secret", r.ID, settings.Region, missing)
	}
	if err != nil {
		return "", explain("secret "+r.ID, "secretsmanager:GetSecretValue", err)
	}
	if out.SecretString == nil {
		return "", &secret.Error{Message: fmt.Sprintf("secret %s at AWS is binary, which no environment variable can hold", r.ID), Hint: "store it as text, such as base64"}
	}
	return *out.SecretString, nil
}

// NotFoundError says that AWS has no such thing.
type NotFoundError struct {
	ID, Region string
	err        error
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("AWS has no %s in %s", e.ID, e.Region)
}

func (e *NotFoundError) Unwrap() error { return e.err }

func notFound(what, id, region string, err error) error {
	return &NotFoundError{ID: what + " " + id, Region: region, err: err}
}

// explain tells a refusal of AWS's from a network that does not answer. AWS's
// messages hold names and no values.
func explain(what, right string, err error) error {
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorFault() == smithy.FaultServer {
		return fmt.Errorf("get %s from AWS: %w", what, err)
	}
	e := &secret.Error{Message: fmt.Sprintf("get %s from AWS: %s: %s", what, refused.ErrorCode(), refused.ErrorMessage())}
	if refused.ErrorCode() == "AccessDeniedException" {
		e.Hint = "allow " + right + ", and kms:Decrypt for its key, to the server's AWS credentials"
	}
	return e
}
