package project

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	nameForm       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,149}$`)
	identifierForm = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	variableForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,254}$`)
	tagForm        = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=@+-]*$`)
)

// reserved begins the names of variables that a build sets itself.
const reserved = "CODEBUILD_"

// The limits of a definition, as CodeBuild has them.
const (
	maxSecondary   = 12
	maxVariables   = 200
	maxTags        = 50
	longestText    = 64 << 10
	longestWords   = 255 // characters of a description, and of a tag's value
	longestKey     = 127 // characters of a tag's key
	longestRole    = 2048
	longestTimeout = 2160 // minutes
	longestQueued  = 480  // minutes, also when the definition does not say
	defaultTimeout = 60   // minutes
)

// Check refuses a definition that no build could run by, with an *Error of the
// kind ErrInvalid.
func (d Definition) Check() error {
	if !nameForm.MatchString(d.Name) {
		return Refuse(ErrInvalid, "project name %.160q: take 2 to 150 letters, digits, dashes and underscores, a letter or a digit first", d.Name)
	}
	for _, check := range []func() string{d.checkSources, d.checkArtifacts, d.checkEnvironment, d.checkLimits} {
		if wrong := check(); wrong != "" {
			return Refuse(ErrInvalid, "project %s: %s", d.Name, wrong)
		}
	}
	return nil
}

func (d Definition) checkSources() string {
	if wrong := d.Source.check("source"); wrong != "" {
		return wrong
	}
	if d.Source.Type == SourceNone && !d.Source.Inline() {
		return "source.buildspec: a project without a source needs the text of a buildspec here"
	}
	if (d.Source.Type == SourcePipeline) != (d.Artifacts.Type == ArtifactsPipeline) {
		return "artifacts.type: source and artifacts are both CODEPIPELINE, or neither is"
	}
	if len(d.SecondarySources) > maxSecondary {
		return fmt.Sprintf("secondarySources: there are %d, and may be %d", len(d.SecondarySources), maxSecondary)
	}
	var seen []string
	for i, s := range d.SecondarySources {
		at := fmt.Sprintf("secondarySources[%d]", i)
		if wrong := s.check(at); wrong != "" {
			return wrong
		}
		switch {
		case s.Type == SourcePipeline || s.Type == SourceNone:
			return at + ".type: a secondary source is in S3 or a git repository"
		case !identifierForm.MatchString(s.Identifier):
			return at + ".sourceIdentifier: give it a name of letters, digits and underscores"
		case slices.Contains(seen, s.Identifier):
			return fmt.Sprintf("%s.sourceIdentifier: %s is the name of another one", at, s.Identifier)
		}
		seen = append(seen, s.Identifier)
	}
	for _, v := range d.SecondaryVersions {
		if !slices.Contains(seen, v.Identifier) {
			return fmt.Sprintf("secondarySourceVersions: there is no secondary source %.130q", v.Identifier)
		}
	}
	return ""
}

func (s Source) check(at string) string {
	types := []string{SourcePipeline, SourceS3, SourceNone, "CODECOMMIT", "GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "BITBUCKET"}
	switch {
	case !slices.Contains(types, s.Type):
		return fmt.Sprintf("%s.type: %.40q is none of %s", at, s.Type, strings.Join(types, ", "))
	case s.Git() && s.Location == "":
		return at + ".location: name a repository of this server, or give the URL of one"
	case s.Type == SourceS3 && !strings.Contains(strings.TrimPrefix(s.Location, "arn:aws:s3:::"), "/"):
		return at + ".location: write BUCKET/KEY"
	case len(s.Buildspec) > longestText || len(s.Location) > 2048:
		return at + ": it is too long"
	case strings.HasPrefix(s.Buildspec, "arn:"):
		return at + ".buildspec: a buildspec is taken from the source, or from here, not from a bucket"
	}
	return ""
}

func (d Definition) checkArtifacts() string {
	if len(d.SecondaryArtifacts) > maxSecondary {
		return fmt.Sprintf("secondaryArtifacts: there are %d, and may be %d", len(d.SecondaryArtifacts), maxSecondary)
	}
	var seen []string
	for i, a := range append([]Artifacts{d.Artifacts}, d.SecondaryArtifacts...) {
		at := "artifacts"
		if i > 0 {
			at = fmt.Sprintf("secondaryArtifacts[%d]", i-1)
			switch {
			case !identifierForm.MatchString(a.Identifier):
				return at + ".artifactIdentifier: give it the name that it has in the buildspec"
			case slices.Contains(seen, a.Identifier):
				return fmt.Sprintf("%s.artifactIdentifier: %s is the name of another one", at, a.Identifier)
			}
			seen = append(seen, a.Identifier)
		}
		types := []string{ArtifactsPipeline, ArtifactsS3, ArtifactsNone}
		switch {
		case !slices.Contains(types, a.Type):
			return fmt.Sprintf("%s.type: %.40q is none of %s", at, a.Type, strings.Join(types, ", "))
		case a.Type == ArtifactsS3 && (a.Location == "" || strings.ContainsAny(a.Location, "/ ")):
			return at + ".location: name a bucket"
		case len(a.Path)+len(a.Name) > 1000:
			return at + ": path and name are too long"
		}
	}
	return ""
}

func (d Definition) checkEnvironment() string {
	e := d.Environment
	linux := []string{"LINUX_CONTAINER", "ARM_CONTAINER", "LINUX_EC2", "ARM_EC2", "LINUX_LAMBDA_CONTAINER", "ARM_LAMBDA_CONTAINER", "LINUX_GPU_CONTAINER"}
	switch {
	case !slices.Contains(linux, e.Type):
		return fmt.Sprintf("environment.type: builds run on Linux here; %.40q is none of %s", e.Type, strings.Join(linux, ", "))
	case e.Image == "":
		return "environment.image: name an image"
	case len(e.Variables) > maxVariables:
		return fmt.Sprintf("environment.environmentVariables: there are %d, and may be %d", len(e.Variables), maxVariables)
	}
	return CheckVariables("environment.environmentVariables", e.Variables)
}

// CheckVariables says what is wrong with the variables of a build, and at which
// member; "" for nothing.
func CheckVariables(at string, all []Variable) string {
	var seen []string
	for _, v := range all {
		switch {
		case !variableForm.MatchString(v.Name):
			return fmt.Sprintf("%s: %.80q is no name of a variable", at, v.Name)
		case strings.HasPrefix(v.Name, reserved):
			return fmt.Sprintf("%s: %s: names with %s belong to the build itself", at, v.Name, reserved)
		case slices.Contains(seen, v.Name):
			return fmt.Sprintf("%s: %s is given twice", at, v.Name)
		case !slices.Contains([]string{"", Plaintext, ParameterStore, SecretsManager}, v.Type):
			return fmt.Sprintf("%s: %s: type %.40q is none of PLAINTEXT, PARAMETER_STORE, SECRETS_MANAGER", at, v.Name, v.Type)
		}
		seen = append(seen, v.Name)
	}
	return ""
}

func (d Definition) checkLimits() string {
	between := func(n, least, most int) bool { return n == 0 || n >= least && n <= most }
	switch {
	case utf8.RuneCountInString(d.Description) > longestWords:
		return fmt.Sprintf("description: take at most %d characters", longestWords)
	case len(d.ServiceRole) > longestRole:
		return fmt.Sprintf("serviceRole: take at most %d characters", longestRole)
	case !between(d.Timeout, 5, longestTimeout):
		return fmt.Sprintf("timeoutInMinutes: take 5 to %d", longestTimeout)
	case !between(d.QueuedTimeout, 5, longestQueued):
		return fmt.Sprintf("queuedTimeoutInMinutes: take 5 to %d", longestQueued)
	case d.Limit < 0:
		return "concurrentBuildLimit: take 1 or more"
	case d.AutoRetry < 0 || d.AutoRetry > 10:
		return "autoRetryLimit: take 0 to 10"
	case d.Batch.check() != "":
		return d.Batch.check()
	}
	return CheckTags(d.Tags)
}

// CheckTags says what is wrong with tags; "" for nothing.
func CheckTags(all []Tag) string {
	if len(all) > maxTags {
		return fmt.Sprintf("tags: there are %d, and may be %d", len(all), maxTags)
	}
	for i, tag := range all {
		switch {
		case tag.Key == "" || utf8.RuneCountInString(tag.Key) > longestKey || !tagForm.MatchString(tag.Key):
			return fmt.Sprintf("tags[%d].key: take 1 to %d letters, digits, blanks and _ . : / = @ + -", i, longestKey)
		case utf8.RuneCountInString(tag.Value) > longestWords || !tagForm.MatchString(tag.Value):
			return fmt.Sprintf("tags[%d].value: take at most %d letters, digits, blanks and _ . : / = @ + -", i, longestWords)
		case slices.ContainsFunc(all[:i], func(other Tag) bool { return other.Key == tag.Key }):
			return fmt.Sprintf("tags[%d].key: %s is given twice", i, tag.Key)
		}
	}
	return ""
}
