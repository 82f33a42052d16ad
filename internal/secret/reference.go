package secret

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// MaxValue bounds a stored value, in bytes: as AWS's do.
const MaxValue = 64 << 10

// Error is what a user can mend: a secret that is not there, is not for them,
// or is not what a reference takes it for. It never holds a value.
type Error struct {
	Message string
	Hint    string // how to mend it, may be empty
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// nameForm has the characters of AWS's names of parameters and secrets.
var nameForm = regexp.MustCompile(`^/?[A-Za-z0-9_.@+=-]+(?:/[A-Za-z0-9_.@+=-]+)*$`)

// CheckName says what is wrong with the name of a stored secret.
func CheckName(name string) error {
	if len(name) > 512 || !nameForm.MatchString(name) {
		return &Error{fmt.Sprintf("%q is not the name of a secret", name), "write a path of letters, digits and _.@+=- such as /web/db-password or web/db, at most 512 characters"}
	}
	return nil
}

// Reference is what a buildspec names a secret by.
type Reference struct {
	// Names are the names under which it may be stored, the first that is
	// there is meant.
	Names []string
	// ID is what AWS calls it: the name or its ARN, of a parameter with the
	// version or label.
	ID string
	// Key is a member of the value, which is a JSON object then.
	Key string
	// Stage and Version choose an older value: AWSCURRENT, AWSPREVIOUS; the
	// number of a version here, its ID at AWS.
	Stage, Version string
}

// ParseParameter reads a reference to a parameter: NAME, NAME:VERSION or an
// ARN.
func ParseParameter(text string) (Reference, error) {
	name, rest, found := strings.Cut(text, ":")
	if parts := strings.SplitN(text, ":", 6); parts[0] == "arn" && len(parts) == 6 {
		name, rest, found = strings.Cut(parts[5], ":")
		var ok bool
		if name, ok = strings.CutPrefix(name, "parameter/"); !ok {
			return Reference{}, badReference(text, "parameter", "/web/db-password or /web/db-password:3")
		}
		name = "/" + name
	}
	if CheckName(name) != nil || found && rest == "" {
		return Reference{}, badReference(text, "parameter", "/web/db-password or /web/db-password:3")
	}
	r := Reference{Names: []string{name}, ID: text, Version: rest}
	if name != text && strings.HasPrefix(text, "arn:") {
		r.Names = append(r.Names, strings.TrimPrefix(name, "/"))
	}
	return r, nil
}

// arnTail is what AWS adds to the name of a secret in its ARN.
var arnTail = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// ParseSecret reads a reference to a secret: ID[:KEY[:STAGE[:VERSION]]], in
// which each part but the first may be empty, and the ID may be an ARN.
func ParseSecret(text string) (Reference, error) {
	const forms = "web/db, web/db:password or web/db:password:AWSPREVIOUS"
	var r Reference
	parts := strings.Split(text, ":")
	if parts[0] == "arn" && len(parts) >= 7 && parts[5] == "secret" {
		r.ID, r.Names = strings.Join(parts[:7], ":"), []string{parts[6]}
		if short := arnTail.ReplaceAllString(parts[6], ""); short != parts[6] {
			r.Names = append(r.Names, short)
		}
		parts = parts[6:]
	} else {
		r.ID, r.Names = parts[0], parts[:1]
	}
	if CheckName(r.Names[0]) != nil || len(parts) > 4 {
		return Reference{}, badReference(text, "secret", forms)
	}
	for i, into := range []*string{&r.Key, &r.Stage, &r.Version} {
		if len(parts) > i+1 {
			*into = parts[i+1]
		}
	}
	return r, nil
}

func badReference(text, what, forms string) error {
	return &Error{fmt.Sprintf("%q does not name a %s", text, what), "write " + forms}
}

// Pick takes the member that the reference names out of a value. Without one it
// is the whole value.
func (r Reference) Pick(value string) (string, error) {
	if r.Key == "" {
		return value, nil
	}
	var members map[string]json.RawMessage
	// What the decoder says could show some of the value.
	if json.Unmarshal([]byte(value), &members) != nil {
		return "", &Error{fmt.Sprintf("secret %s is no JSON object, so it has no key %q", r.Names[0], r.Key), "name it without the key, or set it to an object such as {\"" + r.Key + "\": \"...\"}"}
	}
	member, ok := members[r.Key]
	if !ok {
		return "", &Error{fmt.Sprintf("secret %s has no key %q", r.Names[0], r.Key), "add it to the JSON object that is the value"}
	}
	var text string
	if json.Unmarshal(member, &text) == nil {
		return text, nil
	}
	return string(member), nil
}
