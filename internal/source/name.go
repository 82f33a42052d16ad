package source

import (
	"fmt"
	"strings"
)

// maxName is the longest name of a repository: that of a DNS label, because
// names end up in host names, image repositories and Kubernetes labels.
const maxName = 63

// CheckName returns an *Error of kind ErrInvalid unless name can be the name of
// a repository: a DNS label of lower-case letters, digits and inner hyphens.
// Nothing that passes can mean another directory, on any file system.
func CheckName(name string) error {
	switch {
	case name == "":
		return invalidName(name, "it is empty")
	case len(name) > maxName:
		return invalidName(name[:maxName]+"...", fmt.Sprintf("it has %d characters", len(name)))
	case name[0] == '-' || name[len(name)-1] == '-':
		return invalidName(name, "it starts or ends with a hyphen")
	}
	for _, c := range name {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return invalidName(name, fmt.Sprintf("it contains %q", c))
		}
	}
	return nil
}

func invalidName(name, reason string) error {
	return &Error{
		Kind:    ErrInvalid,
		Message: fmt.Sprintf("%q cannot be the name of a repository: %s", name, reason),
		Hint:    fmt.Sprintf("use 1 to %d lower-case letters, digits and hyphens, such as web-shop", maxName),
	}
}

// checkRef refuses what git check-ref-format refuses, and with it everything
// that git's revision syntax would read as more than a name (main~1, :/text,
// @{yesterday}) or as an option.
func checkRef(ref string) error {
	bad := func(reason string) error {
		return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.80q cannot name a revision: %s", ref, reason),
			Hint: "use a branch, a tag or a commit"}
	}
	switch {
	case ref == "":
		return bad("it is empty")
	case len(ref) > 255:
		return bad("it is longer than 255 characters")
	case strings.HasPrefix(ref, "-"):
		return bad("it starts with a hyphen")
	case ref == "@" || strings.Contains(ref, "@{"):
		return bad("@ is an abbreviation that only git itself understands")
	case strings.HasSuffix(ref, "."):
		return bad("it ends with a dot")
	case strings.Contains(ref, ".."):
		return bad("it names a range, not one revision")
	}
	for i := range len(ref) {
		if c := ref[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return bad(fmt.Sprintf("it contains %q", c))
		}
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return bad(fmt.Sprintf("%q cannot be a part of it", part))
		}
	}
	return nil
}

// isHash says whether s is a whole object name, SHA-1 or SHA-256.
func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && isHex(s)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
